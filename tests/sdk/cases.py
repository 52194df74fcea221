"""What every client is asked, and the loop over its cases; imports nothing of Turnout."""

import json
import sys
import traceback

PROMPT = "Write a Python function to parse CSV files, nonce: n3"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}
MESSAGES = [{"role": "user", "content": PROMPT}]
TOO_LONG = "word " * 3000
TOOLS = [
    {"type": "function", "function": {"name": name, "description": "x", "parameters": SCHEMA}}
    for name in ("forecast", "climate")
]


def raised(call):
    """The name of what ``call`` raises, else None."""
    try:
        call()
    except Exception as error:
        return type(error).__name__


def run(names):
    """Calls each public function of the script and prints what it gave, or how it failed."""
    found = {}
    for name, case in names.items():
        if name.startswith("_") or getattr(case, "__module__", "") != "__main__":
            continue
        try:
            found[name] = case(sys.argv[1])
        except Exception:
            found[name] = {"failed": traceback.format_exc()[-1500:]}
    print(json.dumps(found))

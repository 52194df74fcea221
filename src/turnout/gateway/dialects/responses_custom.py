"""Custom tools, which take free text, as functions with one text argument, for every model.

Invariant: the call's input is exactly the text that the model gave as that argument; if its
arguments have another form, the input is the arguments as written.
Source: platform.openai.com/docs/guides/function-calling, "Custom tools".
This module does not know events.
"""

from collections.abc import Mapping
from typing import Any

import orjson

CUSTOM = "custom"  # the type of these tools
_INPUT = "input"
_PARAMETERS = {
    "type": "object",
    "properties": {_INPUT: {"type": "string"}},
    "required": [_INPUT],
    "additionalProperties": False,
}


def function_of(tool: Mapping[str, Any]) -> dict[str, Any]:
    """The function for a custom tool, still without a name. Its description holds the grammar."""
    about = [str(tool["description"])] if tool.get("description") else []
    form = tool.get("format")
    if isinstance(form, Mapping) and form.get("definition"):
        about.append(f"The input follows this {form.get('syntax')} grammar:\n{form['definition']}")
    function = {"parameters": _PARAMETERS}
    return {**function, "description": "\n\n".join(about)} if about else function


def arguments_of(text: object) -> str:
    """The arguments of the function call for a custom tool call with this input."""
    return orjson.dumps({_INPUT: str(text or "")}).decode()


def input_of(arguments: str) -> str:
    """The custom tool's input in the arguments of its function call."""
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
    found = value.get(_INPUT) if isinstance(value, dict) else None
    return found if isinstance(found, str) else arguments

"""Custom tools, which are called with free text, as functions of one text, which every model has.

Invariant: what the model wrote as that text is the call's input, to the letter; where it wrote no
such function call, all that it wrote is. Source: platform.openai.com/docs/guides/function-calling,
"Custom tools". This module does not know events.
"""

from collections.abc import Mapping
from typing import Any

import orjson

KIND = "custom"
_INPUT = "input"
_PARAMETERS = {
    "type": "object",
    "properties": {_INPUT: {"type": "string"}},
    "required": [_INPUT],
    "additionalProperties": False,
}


def function_of(tool: Mapping[str, Any]) -> dict[str, Any]:
    """The function, unnamed, that stands for a custom tool; a grammar is told in words."""
    about = [str(tool["description"])] if tool.get("description") else []
    form = tool.get("format")
    if isinstance(form, Mapping) and form.get("definition"):
        about.append(f"The input follows this {form.get('syntax')} grammar:\n{form['definition']}")
    function = {"parameters": _PARAMETERS}
    return {**function, "description": "\n\n".join(about)} if about else function


def arguments_of(text: object) -> str:
    """The arguments of the function call that stands for a call with this input."""
    return orjson.dumps({_INPUT: str(text or "")}).decode()


def input_of(arguments: str) -> str:
    """The input in the arguments of such a call."""
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
    found = value.get(_INPUT) if isinstance(value, dict) else None
    return found if isinstance(found, str) else arguments

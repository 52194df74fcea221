"""Tools' schemas as those take them for whom they were not written.

OpenAI and most others want every object to name its properties and every list to say what it is of,
if only that it is of anything; Google knows few words and refuses all others.
Invariant: what cannot be said in the schema is said in its description, where the model reads it.
Sources: platform.openai.com/docs/guides/function-calling; ai.google.dev/api/caching#Schema.
This module does not know requests.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

_GOOGLES = frozenset(
    {
        "type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems",
        "properties", "required", "minProperties", "maxProperties", "minLength", "maxLength",
        "pattern", "anyOf", "items", "minimum", "maximum", "default", "additionalProperties",
        "$ref", "$defs", "prefixItems", "propertyOrdering", "example",
    }
)  # fmt: skip
# Hold values, not schemas.
_VALUES = frozenset({"default", "const", "enum", "examples", "example"})
# Says nothing of the value.
_IDLE = frozenset({"$schema", "$id", "$comment"})
_NAMED = ("properties", "$defs")
_NESTED = ("items", "additionalProperties")


def with_schema(tool: Mapping[str, Any], change: Callable[[Any], Any]) -> Mapping[str, Any]:
    """A tool of chat with its function's schema changed."""
    function = tool.get("function")
    if not isinstance(function, Mapping):
        return tool
    return {**tool, "function": {**function, "parameters": change(function.get("parameters"))}}


def explicit(schema: Any) -> Any:
    """The schema with what it leaves to be understood."""
    if isinstance(schema, list):
        return [explicit(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {word: value if word in _VALUES else explicit(value) for word, value in schema.items()}
    kind = found.get("type")
    if kind == "object" and "properties" not in found:
        found["properties"] = {}
    elif kind == "array" and "items" not in found and "prefixItems" not in found:
        found["items"] = {}
    return found


def in_google_words(schema: Any) -> Any:
    """The schema in the words that Google knows."""
    if not isinstance(schema, Mapping):
        return schema
    found: dict[str, Any] = {}
    said: dict[str, Any] = {}
    for word, value in schema.items():
        if word == "const" and isinstance(value, str):
            found["enum"] = [value]
        elif word == "type" and isinstance(value, list):
            found |= _one_type(value)
        elif word == "oneOf" and isinstance(value, list) and "anyOf" not in schema:
            found["anyOf"] = [in_google_words(one) for one in value]
        elif word not in _GOOGLES:
            said[word] = value
        elif word in _NAMED and isinstance(value, Mapping):
            found[word] = {name: in_google_words(one) for name, one in value.items()}
        elif word in ("anyOf", "prefixItems") and isinstance(value, list):
            found[word] = [in_google_words(one) for one in value]
        else:
            found[word] = in_google_words(value) if word in _NESTED else value
    return described(found, {word: said[word] for word in said if word not in _IDLE})


def _one_type(kinds: list[Any]) -> dict[str, Any]:
    """Several types, of which Google takes one, and that it may be null."""
    others = [kind for kind in kinds if kind != "null"]
    found = {"type": others[0]} if len(others) == 1 else {"anyOf": [{"type": k} for k in others]}
    return {**found, "nullable": True} if len(others) < len(kinds) else found


def described(schema: dict[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with what it cannot say in its description."""
    if not said:
        return schema
    words = "; ".join(f"{word}: {_written(value)}" for word, value in said.items())
    about = schema.get("description")
    return {**schema, "description": f"{about} ({words})" if about else words}


def _written(value: object) -> str:
    return json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"))

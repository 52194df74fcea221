"""Changes tool schemas that were written for another provider.

OpenAI and most others require properties in every object and items in every array, even if empty.
Google takes few keywords and refuses all others.
Invariant: a keyword that a provider refuses goes into the description, where the model reads it.
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
# Keywords that hold values, not schemas.
_VALUES = frozenset({"default", "const", "enum", "examples", "example"})
# Keywords that do not describe the value.
_IDLE = frozenset({"$schema", "$id", "$comment"})
_NAMED = ("properties", "$defs")
_NESTED = ("items", "additionalProperties")


def with_schema(tool: Mapping[str, Any], change: Callable[[Any], Any]) -> Mapping[str, Any]:
    """A tool of chat, with ``change`` applied to its function's schema."""
    function = tool.get("function")
    if not isinstance(function, Mapping):
        return tool
    return {**tool, "function": {**function, "parameters": change(function.get("parameters"))}}


def explicit(schema: Any) -> Any:
    """The schema with properties in every object and items in every array."""
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
    """The schema with only the keywords that Google takes."""
    if not isinstance(schema, Mapping):
        return schema
    found: dict[str, Any] = {}
    refused: dict[str, Any] = {}
    for word, value in schema.items():
        if word == "const" and isinstance(value, str):
            found["enum"] = [value]
        elif word == "type" and isinstance(value, list):
            found |= _one_type(value)
        elif word == "oneOf" and isinstance(value, list) and "anyOf" not in schema:
            found["anyOf"] = [in_google_words(one) for one in value]
        elif word not in _GOOGLES:
            refused[word] = value
        elif word in _NAMED and isinstance(value, Mapping):
            found[word] = {name: in_google_words(one) for name, one in value.items()}
        elif word in ("anyOf", "prefixItems") and isinstance(value, list):
            found[word] = [in_google_words(one) for one in value]
        else:
            found[word] = in_google_words(value) if word in _NESTED else value
    return described(found, {word: refused[word] for word in refused if word not in _IDLE})


def _one_type(kinds: list[Any]) -> dict[str, Any]:
    """Several types: Google takes one type and ``nullable``, or a union."""
    others = [kind for kind in kinds if kind != "null"]
    found = {"type": others[0]} if len(others) == 1 else {"anyOf": [{"type": k} for k in others]}
    return {**found, "nullable": True} if len(others) < len(kinds) else found


def described(schema: dict[str, Any], refused: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with the ``refused`` keywords in its description."""
    if not refused:
        return schema
    words = "; ".join(f"{word}: {_written(value)}" for word, value in refused.items())
    about = schema.get("description")
    return {**schema, "description": f"{about} ({words})" if about else words}


def _written(value: object) -> str:
    return json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"))

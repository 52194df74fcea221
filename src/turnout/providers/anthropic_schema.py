"""Changes JSON schemas into what Anthropic's API takes: fewer keywords, one object at a tool's top.

Invariant: a keyword that the API does not take goes into the description, where the model reads it.
An object with free keys cannot be expressed and raises.
Source: platform.claude.com/docs/en/build-with-claude/structured-outputs, its limitations.
This module does not know requests.
"""

from collections.abc import Mapping
from typing import Any

from turnout.core import InvalidRequest
from turnout.providers.tool_schemas import described

Schema = Mapping[str, Any]

# Keywords that the API takes in the schema of an answer.
_TAKEN = frozenset(
    {
        "$ref", "$defs", "definitions", "type", "title", "description", "enum", "const", "anyOf",
        "oneOf", "allOf", "properties", "required", "additionalProperties", "items", "minItems",
        "format", "pattern",
    }
)  # fmt: skip
_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_FEWEST = (0, 1)  # of minItems
_NAMED, _LISTED = ("properties", "$defs", "definitions"), ("anyOf", "allOf")
# Keywords that the API refuses at the top of a tool's schema.
_UNIONS = ("anyOf", "oneOf", "allOf")


def decodable(schema: object) -> Any:
    """A schema for the decoder, which holds answers to it. Raises InvalidRequest."""
    if not isinstance(schema, Mapping):
        return schema
    found: dict[str, Any] = {}
    refused: dict[str, Any] = {}
    for word, value in schema.items():
        if _is_refused(word, value):
            refused[word] = value
        elif word in _NAMED and isinstance(value, Mapping):
            found[word] = {name: decodable(one) for name, one in value.items()}
        elif word in (*_LISTED, "oneOf") and isinstance(value, list):
            found["anyOf" if word == "oneOf" else word] = [decodable(one) for one in value]
        else:
            found[word] = decodable(value) if word == "items" else value
    if found.get("type") == "object":
        if found.get("additionalProperties", "properties" not in found):
            raise InvalidRequest(
                "an object with free keys is not offered by Anthropic's API; name its properties",
                field="response_format",
            )
        found["additionalProperties"] = False
    return described(found, refused)


def of_a_tool(schema: Schema) -> dict[str, Any]:
    """A tool's schema with one object at its top."""
    unions = {word: schema[word] for word in _UNIONS if word in schema}
    if not unions:
        return {"type": "object", **schema} if "type" not in schema else dict(schema)
    found: dict[str, Any] = {n: v for n, v in schema.items() if n not in unions}
    properties: dict[str, Any] = {}
    for branches in unions.values():
        for branch in branches if isinstance(branches, list) else ():
            properties |= _properties(branch)
    found["properties"] = {**properties, **_properties(schema)}
    return described({**found, "type": "object"}, unions)


def _properties(schema: object) -> Mapping[str, Any]:
    found = schema.get("properties") if isinstance(schema, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _is_refused(word: str, value: object) -> bool:
    if word == "minItems":
        return value not in _FEWEST
    if word == "format":
        return not isinstance(value, str) or value not in _FORMATS
    return word not in _TAKEN

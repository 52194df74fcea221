"""Values that fit a JSON schema, as an obedient model would answer.

Invariant: the same schema and text give the same value, and a schema that contains itself ends.
This module knows what clients generate: types, enumerations, references, alternatives; no bounds.
"""

from collections.abc import Mapping
from typing import Any

_ALTERNATIVES = ("anyOf", "oneOf", "allOf")
_MAX_DEPTH = 4
# References and alternatives that lead to each other end after so many.
_MAX_HOPS = 32
_TEXT: Mapping[str, Any] = {"type": "string"}

Schema = Mapping[str, Any]


def sample(schema: Schema, text: str) -> Any:
    """A value with ``text`` for every free string and every dead reference."""
    return _value(schema, text, schema, 0)


def _value(schema: Schema, text: str, root: Schema, depth: int) -> Any:
    schema = _resolved(schema, root, depth)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        fields = schema.get("properties", {"nonce": {"type": "string"}})
        return {name: _value(field, text, root, depth + 1) for name, field in fields.items()}
    if kind == "array":
        item = schema.get("items") or {"type": "string"}
        return [_value(item, text, root, depth + 1)] if depth < _MAX_DEPTH else []
    return {"integer": 1, "number": 0.5, "boolean": True, "null": None}.get(kind, text)


def _resolved(schema: Schema, root: Schema, depth: int) -> Schema:
    """The target of a reference, or the first alternative; at depth the last one, often null."""
    for _ in range(_MAX_HOPS):
        alternatives = next((schema[name] for name in _ALTERNATIVES if schema.get(name)), None)
        if "$ref" in schema:
            schema = _reference_target(root, str(schema["$ref"]))
        elif alternatives:
            schema = alternatives[0] if depth < _MAX_DEPTH else alternatives[-1]
        else:
            return schema
    return _TEXT


def _reference_target(root: Schema, reference: str) -> Schema:
    """The target of a reference into the schema itself; a text for any other."""
    if not reference.startswith("#"):
        return _TEXT
    target: Any = root
    for step in reference.split("/")[1:]:
        target = target.get(step) if isinstance(target, Mapping) else None
    return target if isinstance(target, Mapping) else _TEXT

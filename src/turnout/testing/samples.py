"""Values that fit a JSON schema, as an obedient model would answer.

Invariant: the same schema and text give the same value, and a schema that contains itself ends.
This module knows what clients generate: types, enumerations, references, alternatives; no bounds.
"""

from collections.abc import Mapping
from functools import reduce
from typing import Any

_ALTERNATIVES = ("anyOf", "oneOf", "allOf")
_DEEPEST = 4

Schema = Mapping[str, Any]


def sample(schema: Schema, text: str) -> Any:
    """A value with ``text`` for every free string. Raises KeyError for a reference to nowhere."""
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
        return [_value(item, text, root, depth + 1)] if depth < _DEEPEST else []
    return {"integer": 1, "number": 0.5, "boolean": True, "null": None}.get(kind, text)


def _resolved(schema: Schema, root: Schema, depth: int) -> Schema:
    """What a reference or the first alternative stands for; deep down the last one, often null."""
    while True:
        either = next((schema[name] for name in _ALTERNATIVES if schema.get(name)), None)
        if "$ref" in schema:
            steps = [step for step in str(schema["$ref"]).split("/") if step not in ("", "#")]
            schema = reduce(lambda at, step: at[step], steps, root)
        elif either:
            schema = either[0] if depth < _DEEPEST else either[-1]
        else:
            return schema

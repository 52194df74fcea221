"""Tools' schemas that were written for Anthropic's API, as OpenAI's and most others take them.

These want every object to name its properties and every list to say what it is of, if only that it
is of anything. Source: platform.openai.com/docs/guides/function-calling.
This module does not know requests.
"""

from collections.abc import Mapping
from typing import Any


def explicit(schema: Any) -> Any:
    """The schema with what it leaves to be understood."""
    if isinstance(schema, list):
        return [explicit(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {
        word: explicit(value) if isinstance(value, Mapping | list) else value
        for word, value in schema.items()
    }
    kind = found.get("type")
    if kind == "object" and "properties" not in found:
        found["properties"] = {}
    elif kind == "array" and "items" not in found and "prefixItems" not in found:
        found["items"] = {}
    return found

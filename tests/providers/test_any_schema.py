"""Tools' schemas are the caller's: whatever they hold is passed on, or refused by name."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.core import InvalidRequest
from turnout.providers.anthropic_schema import decodable, of_a_tool
from turnout.providers.tool_schemas import explicit, in_google_words

_WORDS = [
    "type", "properties", "items", "anyOf", "oneOf", "allOf", "format", "minItems", "default",
    "additionalProperties", "const", "enum", "required", "$defs", "prefixItems", "description",
]  # fmt: skip

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(max_size=4)
    | st.sampled_from(["object", "array", "null", "date"])
)
_JSON = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_WORDS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("told", [explicit, in_google_words, decodable, of_a_tool])
@given(schema=st.dictionaries(st.sampled_from(_WORDS), _JSON, max_size=4))
def test_no_schema_is_beyond_telling(told: Callable[[Any], Any], schema: dict[str, Any]) -> None:
    """A value of the wrong kind goes on to the provider, who refuses it in its own way."""
    try:
        found = told(schema)
    except InvalidRequest:
        return
    assert isinstance(found, dict)


def test_values_that_look_like_schemas_stay_as_they_are() -> None:
    """A default or a choice of an enumeration is no schema to be completed."""
    schema = {"type": "object", "default": {"type": "object"}, "enum": [{"type": "array"}]}
    assert explicit(schema) == {**schema, "properties": {}}

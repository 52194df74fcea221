"""What tool definitions ask for and how well they fit, as numbers."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from turnout.features.tools import NAMES, tool_features

_BMI = {
    "name": "determine_body_mass_index",
    "description": "Calculate body mass index given weight and height.",
    "parameters": {
        "type": "dict",
        "properties": {
            "weight": {"type": "float", "description": "Weight in kilograms."},
            "height": {"type": "float", "description": "Height in meters."},
            "unit": {"type": "string", "enum": ["metric", "imperial"]},
        },
        "required": ["weight", "height"],
    },
}


def _marks(tools: object, text: str) -> dict[str, float]:
    return dict(zip(NAMES, tool_features(json.dumps(tools), text), strict=True))


def test_a_tool_that_fits_covers_more_of_the_question() -> None:
    """The same tool fits the question about a body and not the one about a triangle."""
    fits = _marks(
        [_BMI], "Calculate the body mass index for a weight of 80 kg and height of 1.8 m."
    )
    other = _marks([_BMI], "Who wrote the symphony that opened the festival in Vienna?")
    assert fits["covered"] > other["covered"]
    assert fits["name_overlap"] > other["name_overlap"]
    assert fits["given"] == 1.0
    assert other["given"] == 0.0


def test_a_unit_said_again_asks_for_a_second_call() -> None:
    """Two persons' weights are two calls of the same tool."""
    one = _marks([_BMI], "The body mass index of someone of 80 kg and 1.8 m?")
    two = _marks([_BMI], "The body mass index at 80 kg and 1.8 m, and at 60 kg and 1.6 m?")
    assert two["repeated_units"] > one["repeated_units"]


def test_a_tool_is_the_same_bare_in_a_list_and_in_openais_shape() -> None:
    """How a client wraps a single tool says nothing about the question."""
    text = "Body mass index for 80 kg and 1.8 m?"
    bare, listed = _marks(_BMI, text), _marks([_BMI], text)
    wrapped = _marks([{"type": "function", "function": _BMI}], text)
    for marks in (bare, listed, wrapped):
        del marks["function_length"]
    assert bare == listed == wrapped


def test_odd_definitions_are_read_without_an_error() -> None:
    """No tools and no JSON give zeros; a schema of the wrong shape gives numbers."""
    assert tool_features("", "hello") == tool_features("no json", "hello") == [0.0] * len(NAMES)
    odd = [{"name": None, "parameters": {"properties": [1], "required": "all"}}, {"parameters": 3}]
    assert len(tool_features(json.dumps(odd), "hello 3 kg")) == len(NAMES)


def test_a_tool_may_require_what_it_does_not_declare() -> None:
    """JSON Schema allows it, and then nothing is optional; it once ended in an exception."""
    tool = {"name": "f", "parameters": {"properties": {}, "required": ["weight", "height"]}}
    assert _marks([tool], "80 kg")["optional"] == 0


_LEAVES = st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.just("integer")
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
_SCHEMAS = st.fixed_dictionaries(
    {},
    optional={
        "properties": _JSON | st.dictionaries(st.text(max_size=2), _JSON, max_size=3),
        "required": _JSON | st.lists(st.text(max_size=2), max_size=4),
    },
)
_TOOLS = st.fixed_dictionaries({}, optional={"name": _JSON, "parameters": _SCHEMAS | _JSON})


@given(st.lists(_TOOLS | _JSON, max_size=3), st.text(max_size=20))
def test_whatever_a_definition_is_made_of_it_gives_numbers(tools: object, text: str) -> None:
    """A caller's tools never end a request."""
    assert all(map(math.isfinite, tool_features(json.dumps(tools), text)))

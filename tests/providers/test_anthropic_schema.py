"""JSON schemas written for OpenAI's API, before Anthropic's, which takes less of them."""

import json
from typing import Any

import pytest

from tests.providers.worlds import deployment
from turnout.core import InvalidRequest, Request
from turnout.providers.anthropic import AnthropicCodec

OBJECT = {"type": "object"}


def sent(**more: Any) -> Any:
    """What Anthropic gets of a chat body."""
    body = {"messages": [{"role": "user", "content": "hm"}], **more}
    to = deployment("https://api.anthropic.com/v1", "claude-opus-5")
    request = Request(id="r", body=body, model="auto")
    return json.loads(AnthropicCodec(mark="0" * 12).encode(request, to, stream=False).body)


def form(schema: dict[str, Any]) -> Any:
    """The schema that an answer is held to."""
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    return sent(response_format=wanted)["output_config"]["format"]["schema"]


def tool(schema: dict[str, Any] | None, **more: Any) -> Any:
    """The schema of a tool."""
    function = {"name": "f", "parameters": schema, **more}
    return sent(tools=[{"type": "function", "function": function}])["tools"][0]["input_schema"]


def test_what_the_schema_cannot_say_is_said_in_words() -> None:
    """At any depth; what it can say stays, and objects are closed."""
    rating = {"type": "integer", "minimum": 1, "maximum": 5, "description": "How good."}
    tags = {"type": "array", "items": {"type": "string", "maxLength": 9}, "minItems": 3}
    schema = {
        **OBJECT,
        "properties": {"rating": rating, "tags": tags, "at": {"type": "string", "format": "date"}},
        "required": ["rating"],
        "$defs": {"x": {"type": "string", "format": "phone"}},
    }
    assert form(schema) == {
        **OBJECT,
        "properties": {
            "rating": {"type": "integer", "description": "How good. (minimum: 1; maximum: 5)"},
            "tags": {
                "type": "array",
                "items": {"type": "string", "description": "maxLength: 9"},
                "description": "minItems: 3",
            },
            "at": {"type": "string", "format": "date"},
        },
        "required": ["rating"],
        "$defs": {"x": {"type": "string", "description": 'format: "phone"'}},
        "additionalProperties": False,
    }


def test_a_keyword_that_is_not_known_is_said_in_words() -> None:
    """As pydantic writes a union, and other tools their own words."""
    kinds = {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat"}}
    union = {"oneOf": [{"$ref": "#/$defs/Cat"}], "discriminator": kinds, "not": {"type": "null"}}
    assert form({**OBJECT, "properties": {"pet": union}})["properties"]["pet"] == {
        "anyOf": [{"$ref": "#/$defs/Cat"}],
        "description": 'discriminator: {"propertyName":"kind","mapping":{"cat":"#/$defs/Cat"}}; '
        'not: {"type":"null"}',
    }


def test_a_property_may_be_called_like_a_keyword() -> None:
    """Names are no keywords."""
    schema = {**OBJECT, "properties": {"minimum": {"type": "number"}, "default": {"type": "null"}}}
    assert form(schema)["properties"] == schema["properties"]


def test_a_map_of_any_keys_is_left_to_another_model() -> None:
    """It would come back closed, without the keys that were asked for."""
    with pytest.raises(InvalidRequest, match="free keys"):
        form(
            {**OBJECT, "properties": {"m": {**OBJECT, "additionalProperties": {"type": "string"}}}}
        )


def test_a_union_at_the_top_of_a_tool_is_said_in_words() -> None:
    """Each branch's properties are there to be used."""
    schema = {
        **OBJECT,
        "properties": {"id": {"type": "string"}},
        "oneOf": [{"required": ["id"]}, {"properties": {"url": {"type": "string"}}}],
    }
    told = tool(schema)
    assert told["type"] == "object"
    assert told["properties"].keys() == {"id", "url"}
    assert "oneOf" not in told
    assert json.dumps(schema["oneOf"], separators=(",", ":")) in told["description"]
    assert tool({"anyOf": [schema]})["properties"].keys() == {"id"}


def test_a_tools_other_limits_stay_unless_it_is_strict() -> None:
    """Only what is decoded by its schema is limited in what this may say."""
    schema = {**OBJECT, "properties": {"n": {"type": "integer", "minimum": 1}}}
    assert tool(schema) == schema
    strict = tool(schema, strict=True)
    assert strict["properties"]["n"] == {"type": "integer", "description": "minimum: 1"}
    assert strict["additionalProperties"] is False


@pytest.mark.parametrize("schema", [None, {}, {"properties": {}}])
def test_a_tool_without_arguments_has_an_object(schema: dict[str, Any] | None) -> None:
    """Which Anthropic asks for."""
    assert tool(schema) == {**OBJECT, "properties": {}}

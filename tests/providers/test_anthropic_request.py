"""What Anthropic's Messages are asked, where they take less than chat completions do."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.providers.worlds import deployment
from turnout.core import InvalidRequest, Request
from turnout.providers.anthropic import AnthropicCodec

WHERE = deployment("https://api.anthropic.com", "claude-x")
CLAUDE = replace(WHERE, provider=replace(WHERE.provider, family="anthropic"))


def sent(**more: Any) -> dict[str, Any]:
    """The body of a chat request with these fields, as Anthropic gets it."""
    request = Request(id="r", body={"messages": [{"role": "user", "content": "x"}], **more})
    body: dict[str, Any] = json.loads(
        AnthropicCodec(mark="m").encode(request, CLAUDE, stream=False).body
    )
    return body


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"temperature": 0.2, "top_p": 0.9}, {"temperature": 0.2}),
        ({"temperature": 1, "top_p": 0.9}, {"top_p": 0.9}),
        ({"temperature": 1.0, "top_p": 1.0}, {"temperature": 1.0}),
        ({"temperature": 0, "top_p": 1}, {"temperature": 0}),
        ({"top_p": 1}, {"top_p": 1}),
        ({}, {}),
    ],
)
def test_one_of_temperature_and_top_p_is_sent(given: dict[str, Any], kept: dict[str, Any]) -> None:
    """Together they are refused by its newer models, and many clients send both."""
    body = sent(**given)
    assert {name: body[name] for name in ("temperature", "top_p") if name in body} == kept


def test_a_temperature_that_it_does_not_take_is_for_another_model() -> None:
    """Chat completions go up to 2; it is not silently made another one."""
    with pytest.raises(InvalidRequest, match=r"temperature is 1.5; .* at most 1"):
        sent(temperature=1.5)

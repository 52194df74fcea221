"""A caller's own knobs, in headers."""

import pytest

from tests.gateway.world import chat, world

QUALITIES = {"fast": 0.5, "coder": 0.7, "strong": 0.9}
POLICY = {"name": "cheapest_above_quality", "quality": 0.95}


@pytest.mark.parametrize(
    ("headers", "model"),
    [
        ({}, "acme/strong"),
        ({"x-turnout-quality": "0.4"}, "acme/fast"),
        ({"x-turnout-quality": "0.7"}, "acme/coder"),
        ({"x-turnout-quality": "1", "x-turnout-max-cost-usd": "0.001"}, "acme/coder"),
    ],
)
def test_a_request_sets_its_own_quality(headers: dict[str, str], model: str) -> None:
    """The header wins over the configuration; a cost limit excludes who would be dearer."""
    with world(policy=POLICY, qualities=QUALITIES) as w:
        answer = w.post("/v1/chat/completions", chat(), headers)
    assert answer.headers["x-turnout-model"] == model


@pytest.mark.parametrize("value", ["1.5", "-1", "high", "nan", ""])
def test_a_quality_that_is_no_share_is_refused(value: str) -> None:
    """400 with the header's name and what it may be."""
    with world(policy=POLICY, qualities=QUALITIES) as w:
        answer = w.post("/v1/chat/completions", chat(), {"x-turnout-quality": value})
    assert answer.status == 400
    assert "x-turnout-quality" in answer.json()["error"]["message"]
    assert "from 0 to 1" in answer.json()["error"]["message"]

"""What no price list has, as another service level or searches in chat, is never taken for free."""

from typing import Any

import pytest

from tests.gateway.world import chat, messages, world

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
LISTED = {"openai": "gpt-4o-mini", "anthropic": "claude-sonnet-4-5"}
LIMIT = {"x-turnout-max-cost-usd": "1"}


def asked(path: str, **more: Any) -> dict[str, Any]:
    """A short question for the model whose price is in the price list."""
    if path == RESPONSES:
        return {"input": "What is the capital of Japan?", "model": "coder", **more}
    return {CHAT: chat, MESSAGES: messages}[path](model="coder", **more)


@pytest.mark.parametrize(
    ("path", "family", "more", "known"),
    [
        (CHAT, "openai", {"service_tier": "priority"}, False),
        (CHAT, "openai", {"service_tier": "a new one"}, False),
        (CHAT, "openai", {"service_tier": "flex"}, True),
        (CHAT, "openai", {"service_tier": None}, True),
        (CHAT, "openai", {"web_search_options": {}}, False),
        (CHAT, "openai", {"plugins": [{"id": "web"}]}, False),
        (CHAT, "openai", {"plugins": []}, True),
        (CHAT, "openai", {"search_parameters": {"mode": "auto"}}, False),
        (CHAT, "openai", {"search_parameters": {"mode": "off"}}, True),
        (CHAT, "openai", {"modalities": ["text", "image"]}, False),
        (CHAT, "openai", {"modalities": ["text"]}, True),
        (RESPONSES, "openai", {"service_tier": "priority"}, False),
        (MESSAGES, "anthropic", {"speed": "fast"}, False),
        (MESSAGES, "anthropic", {"inference_geo": "us"}, False),
        (MESSAGES, "anthropic", {"speed": "standard", "service_tier": "standard_only"}, True),
        # What is lost on the way costs nothing.
        (CHAT, "anthropic", {"service_tier": "priority"}, True),
        (MESSAGES, "openai", {"speed": "fast"}, True),
    ],
)
def test_a_listed_price_is_for_the_usual_service(
    path: str, family: str, more: dict[str, Any], *, known: bool
) -> None:
    """A call at another one has an unknown cost, and fits no limit; the refusal names the field."""
    with world(
        family=family,
        models={"coder": LISTED[family]},
        prices={"coder": None},
        provider_more={"preset": family},
    ) as w:
        answer = w.post(path, asked(path, **more))
        limited = w.post(path, asked(path, **more), LIMIT)
    assert answer.status == 200
    assert (answer.headers["x-turnout-cost-usd"] != "unknown") == known
    assert (limited.status == 200) == known
    if not known:
        assert f"with this {next(iter(more))}" in limited.body.decode()


def test_a_price_of_ones_own_is_for_whatever_is_asked() -> None:
    """Who configures it knows what is paid."""
    with world() as w:
        answer = w.post(CHAT, asked(CHAT, service_tier="priority"), LIMIT)
    assert answer.status == 200
    assert float(answer.headers["x-turnout-cost-usd"]) > 0


def test_models_are_still_ordered_by_what_is_listed() -> None:
    """The cheaper one first, though nobody knows what either will cost."""
    dear_first = {"fast": "gpt-4o", "strong": "gpt-4.1", "coder": "gpt-4o-mini"}
    with world(
        models=dear_first,
        prices=dict.fromkeys(dear_first),
        provider_more={"preset": "openai"},
        policy="cheapest",
    ) as w:
        answer = w.post(CHAT, chat(service_tier="priority"))
    assert answer.headers["x-turnout-cost-usd"] == "unknown"
    assert w.sent()["model"] == "gpt-4o-mini"

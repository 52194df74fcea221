"""Settings that a model does not take: left out and told, unless the caller chose the model."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.gateway.world import World, chat, world
from tests.runtime.world import CODE, FACT
from turnout.providers.settings import refused_setting

PICKY = {"fast": "acme/f-picky", "coder": "acme/f-picky-tokens3"}
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}


def body(dialect: str, question: str = FACT, **more: Any) -> dict[str, Any]:
    """A question with a temperature and a top_p."""
    asked = {"temperature": 0.2, "top_p": 0.9, **more}
    if dialect == "responses":
        return {"model": "auto", "input": question, **asked}
    return chat(question, max_tokens=50, **asked)


def provider_bodies(w: World, since: int = 0) -> list[dict[str, Any]]:
    """The bodies that the provider got."""
    return [request.json() for request in w.upstream.requests[since:]]


@pytest.mark.parametrize("family", ["openai", "openai-responses", "anthropic"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", PATHS)
def test_the_model_is_asked_again_without_them(dialect: str, family: str, *, stream: bool) -> None:
    """The answer is the chosen model's own, says what it lacks, and the next call knows."""
    with world(family=family, models=PICKY) as w:
        for _ in range(2):
            answer = w.post(PATHS[dialect], body(dialect, stream=stream))
            assert answer.status == 200, answer.body
            assert answer.headers["x-turnout-attempts"] == "1"
            assert "temperature" in answer.headers["x-turnout-left-out"].split(", ")
        assert {told["model"] for told in provider_bodies(w)} == {"acme/f-picky"}
        *refused, first, second = provider_bodies(w)
        assert len(refused) >= 1
        assert all("temperature" in told or "top_p" in told for told in refused)
        assert not {"temperature", "top_p"} & (first.keys() | second.keys())


def effort_body(dialect: str, effort: str, model: str = "auto") -> dict[str, Any]:
    """A question with an effort, as each dialect says it."""
    if dialect == "responses":
        return {"model": model, "input": FACT, "reasoning": {"effort": effort}}
    said = {"reasoning_effort": effort}
    if dialect == "messages":
        said = {"output_config": {"effort": effort}, "thinking": {"type": "adaptive"}}
    return chat(FACT, model=model, max_tokens=50, **said)


def effort_in(told: dict[str, Any]) -> str | None:
    """The effort that a provider was asked for."""
    inner = told.get("reasoning") or told.get("output_config") or {}
    return told.get("reasoning_effort") or inner.get("effort")


EFFORT_NAMES = {
    "chat": "reasoning_effort",
    "messages": "output_config.effort",
    "responses": "reasoning.effort",
}


@pytest.mark.parametrize("family", ["openai", "openai-responses"])
@pytest.mark.parametrize("dialect", PATHS)
def test_a_model_that_lacks_an_effort_is_asked_for_the_next(dialect: str, family: str) -> None:
    """Which is told; later requests ask for it at once, and a model that has it is asked for it."""
    with world(family=family, models={"fast": "acme/f-usual"}) as w:
        for efforts in (["max", "xhigh", "high"], ["high"]):
            sent = len(w.upstream.requests)
            answer = w.post(PATHS[dialect], effort_body(dialect, "max"))
            assert answer.status == 200, answer.body
            assert answer.headers["x-turnout-left-out"] == EFFORT_NAMES[dialect]
            assert [effort_in(told) for told in provider_bodies(w, sent)] == efforts
        answer = w.post(PATHS[dialect], effort_body(dialect, "medium"))
        assert "x-turnout-left-out" not in answer.headers
        answer = w.post(PATHS[dialect], effort_body(dialect, "max", "coder"))
        assert (answer.status, effort_in(provider_bodies(w)[-1])) == (200, "max")
        assert "x-turnout-left-out" not in answer.headers


@pytest.mark.parametrize("dialect", PATHS)
def test_a_model_that_is_named_need_not_know_the_efforts_of_claudes(dialect: str) -> None:
    """A caller of Messages gets the nearest; one who speaks the model's own words its error."""
    with world(models={"fast": "acme/f-usual"}) as w:
        answer = w.post(PATHS[dialect], effort_body(dialect, "max", "fast"))
        assert answer.status == (200 if dialect == "messages" else 400)
        assert effort_in(provider_bodies(w)[-1]) == ("high" if dialect == "messages" else "max")


@pytest.mark.parametrize(("model", "effort"), [("claude-x-4-6", "high"), ("claude-x-4-7", "xhigh")])
def test_a_claude_that_lacks_an_effort_gets_a_lower_one(model: str, effort: str) -> None:
    """By its version, and the caller is told."""
    with world(family="anthropic", models={"fast": model}) as w:
        answer = w.post(PATHS["chat"], effort_body("chat", "xhigh"))
        assert effort_in(provider_bodies(w)[-1]) == effort
        told = "reasoning_effort" if effort == "high" else None
        assert answer.headers.get("x-turnout-left-out") == told


EPHEMERAL = {"cache_control": {"type": "ephemeral"}}
MARKED = {"type": "text", "text": FACT, **EPHEMERAL}
FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {}}}
MARKS: dict[str, dict[str, Any]] = {
    "top": EPHEMERAL,
    "message": {"messages": [{"role": "user", "content": FACT, **EPHEMERAL}]},
    "part": {"messages": [{"role": "system", "content": [MARKED]}, *chat(FACT)["messages"]]},
    "tool": {"tools": [{"type": "function", "function": FUNCTION, **EPHEMERAL}]},
    "function": {"tools": [{"type": "function", "function": {**FUNCTION, **EPHEMERAL}}]},
}


@pytest.mark.parametrize("place", MARKS)
def test_marks_of_caches_are_left_out_where_they_are_refused(place: str) -> None:
    """They only tune what is kept, so that a client which always marks reaches every model."""
    with world(models={"fast": "acme/f-unmarked"}) as w:
        marked = chat(FACT, **MARKS[place])
        for _ in range(2):
            answer = w.post(PATHS["chat"], marked)
            assert (answer.status, answer.headers["x-turnout-model"]) == (200, "acme/f-unmarked")
            assert answer.headers["x-turnout-left-out"] == "cache_control"
        assert ["cache_control" in json.dumps(told) for told in provider_bodies(w)] == [
            True,
            False,
            False,
        ]
        named = w.post(PATHS["chat"], {**marked, "model": "fast"})
        assert named.status == 400
        assert "cache_control" in named.json()["error"]["message"]


GROQ = (
    "'messages.0' : for 'role:user' the following must be satisfied[('messages.0.content.0' : "
    "property 'cache_control' is unsupported)]"
)
MISTRAL = (
    "{'detail': [{'type': 'extra_forbidden', 'loc': ['body', 'messages', 0, 'user', "
    "'cache_control'], 'msg': 'Extra inputs are not permitted'}]}"
)


@pytest.mark.parametrize("said", [GROQ, MISTRAL])
def test_marks_are_found_in_what_providers_say_of_them(said: str) -> None:
    """Each in its own words."""
    assert refused_setting(said) == "cache_control"


def test_callers_at_once_find_out_at_once() -> None:
    """None of those under way when the first refusal comes gets it in place of an answer."""
    with world(models={"fast": "acme/f-picky-slow200ms"}) as w:
        with ThreadPoolExecutor(8) as callers:
            found = [callers.submit(w.post, PATHS["chat"], body("chat")) for _ in range(8)]
        assert [answer.result().status for answer in found] == [200] * 8


def test_a_model_that_is_named_gets_what_was_said() -> None:
    """Its provider's refusal goes to the caller, also once others have been asked without."""
    with world(models=PICKY) as w:
        assert w.post(PATHS["chat"], body("chat")).status == 200
        answer = w.post(PATHS["chat"], body("chat", model="fast"))
        assert answer.status == 400
        assert "temperature" in answer.json()["error"]["message"]
        assert provider_bodies(w)[-1]["temperature"] == 0.2
        assert "x-turnout-left-out" not in answer.headers


def test_others_are_sent_everything() -> None:
    """What one model does not take says nothing about the next."""
    with world(models={"fast": PICKY["fast"]}) as w:
        assert w.post(PATHS["chat"], body("chat")).status == 200
        answer = w.post(PATHS["chat"], body("chat", CODE))
        assert "x-turnout-left-out" not in answer.headers
        assert provider_bodies(w)[-1]["temperature"] == 0.2


def test_a_call_that_was_refused_for_it_costs_nothing() -> None:
    """The account has the one answer."""
    with world(models=PICKY) as w:
        answer = w.post(PATHS["chat"], body("chat"))
        billed = [entry for entry in w.upstream.invoice if entry.status == 200]
        usage = answer.json()["usage"]
        assert len(billed) == 1
        assert usage["completion_tokens"] == billed[0].completion_tokens
        assert usage["prompt_tokens"] == billed[0].prompt_tokens


@pytest.mark.parametrize("model", ["auto", "fast"])
def test_what_a_model_lacks_another_is_asked_for(model: str) -> None:
    """Unless the caller wants no other; then it is a refusal like any."""
    with world(models={"fast": "acme/f-unsupported"}) as w:
        answer = w.post(PATHS["chat"], body("chat", model=model))
        told = answer.json()
        if model == "auto":
            assert (answer.status, answer.headers["x-turnout-attempts"]) == (200, "2")
        else:
            assert (answer.status, told["error"]["type"]) == (400, "invalid_request_error")
            assert "does not support assistant message prefill" in json.dumps(told)

"""Providers that speak OpenAI's Responses: thoughts and settings of every caller before them."""

import json
from typing import Any

import pytest

from tests.gateway.test_golden_matrix import DIALECTS, PATHS, body_of
from tests.gateway.world import Answer, world
from tests.runtime.world import CODE

FAMILY = "openai-responses"
SECRET = "encrypted+by+acme/coder=="
NEXT = "go on, nonce: n8"


def history_of(dialect: str, answer: Answer) -> Any:
    """The answer's message, blocks or items, as its caller keeps them for the next turn."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        events = [json.loads(data) for _, data in answer.events() if data != "[DONE]"]
        if dialect == "responses":
            return events[-1]["response"]["output"]
        return _message(events) if dialect == "chat" else _blocks(events)
    body = answer.json()
    if dialect == "responses":
        return body["output"]
    return body["choices"][0]["message"] if dialect == "chat" else body["content"]


def _message(events: list[Any]) -> dict[str, Any]:
    whole = {"role": "assistant", "content": "", "reasoning_content": "", "reasoning_signature": ""}
    for choice in (choice for event in events for choice in event["choices"]):
        for name in whole.keys() - {"role"}:
            whole[name] += choice["delta"].get(name) or ""
    return whole


def _blocks(events: list[Any]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"])
        for name in ("text", "thinking", "signature"):
            piece = (event.get("delta") or {}).get(name)
            if piece:
                blocks[-1][name] = blocks[-1].get(name, "") + piece
    return blocks


def next_request(dialect: str, asked: dict[str, Any], said: Any) -> dict[str, Any]:
    """The next turn."""
    if dialect == "responses":
        begun = {"role": "user", "content": asked["input"]}
        return asked | {"input": [begun, *said, {"role": "user", "content": NEXT}]}
    turn = said if dialect == "chat" else {"role": "assistant", "content": said}
    return asked | {"messages": [*asked["messages"], turn, {"role": "user", "content": NEXT}]}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_thoughts_go_back_to_the_model_that_had_them(dialect: str, *, stream: bool) -> None:
    """In what it encrypted them to, which its provider would refuse of another model's."""
    with world(family=FAMILY) as w:
        asked = body_of(dialect, "reasoning") | {"stream": stream}
        said = history_of(dialect, w.post(PATHS[dialect], asked))
        more = next_request(dialect, asked, said)
        for model, kept in (("coder", True), ("strong", False)):
            answer = w.post(PATHS[dialect], more | {"model": model, "stream": False})
            assert answer.status == 200, answer.body
            thoughts = [item for item in w.sent()["input"] if item.get("type") == "reasoning"]
            assert [item["encrypted_content"] for item in thoughts] == ([SECRET] if kept else [])
            assert all("id" not in item for item in thoughts)
            texts = [item for item in w.sent()["input"] if item.get("role") == "assistant"]
            assert len(texts) == 1


@pytest.mark.parametrize("model", ["coder", "code"])
@pytest.mark.parametrize("dialect", ["chat", "messages"])
def test_an_account_without_summaries_is_asked_without(dialect: str, model: str) -> None:
    """Which the caller did not ask for in so many words, named model or not."""
    with world(family=FAMILY, models={"coder": "acme/f-unverified"}) as w:
        for calls in (2, 3):
            answer = w.post(PATHS[dialect], body_of(dialect, "reasoning") | {"model": model})
            assert answer.status == 200, answer.body
            assert answer.headers["x-turnout-left-out"] == "summary"
            assert len(w.upstream.requests) == calls
        assert "summary" not in w.sent()["reasoning"]


def test_who_asks_for_summaries_and_names_the_model_hears_why_there_are_none() -> None:
    """As with every setting that he wrote himself."""
    asked = {"model": "coder", "input": CODE, "reasoning": {"effort": "low", "summary": "auto"}}
    with world(family=FAMILY, models={"coder": "acme/f-unverified"}) as w:
        answer = w.post(PATHS["responses"], asked)
        assert answer.status == 400
        assert "must be verified" in answer.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_answer_of_its_own_kind_passes(*, stream: bool) -> None:
    """Its ids, times and fields are the provider's; the model and metadata are as ever."""
    asked = {
        "model": "coder",
        "input": CODE,
        "reasoning": {"effort": "low"},
        "metadata": {"team": "legal"},
        "stream": stream,
    }
    with world(family=FAMILY, models={"coder": "acme/f-othermodel"}) as w:
        answer = w.post(PATHS["responses"], asked)
        assert "metadata" not in w.sent()
    events = [json.loads(data) for _, data in answer.events()] if stream else []
    body = events[-1]["response"] if stream else answer.json()
    assert len(body["id"]) == len("resp_") + 48  # Turnout's own has 24 digits
    assert body["model"] == answer.headers["x-turnout-model"] == "another-model"
    assert (body["metadata"], body["store"]) == ({"team": "legal"}, True)
    assert body["usage"]["output_tokens_details"]["reasoning_tokens"] == 8
    assert [item["type"] for item in body["output"]] == ["reasoning", "message"]
    if stream:
        assert [e["sequence_number"] for e in events] == list(range(len(events)))
        assert "response.content_part.done" in [e["type"] for e in events]


@pytest.mark.parametrize("dialect", ["chat", "messages"])
def test_what_only_others_can_do_goes_to_them(dialect: str) -> None:
    """A stop has no word here; beside another family the request is answered all the same."""
    stops = {"stop": ["END"]} if dialect == "chat" else {"stop_sequences": ["END"]}
    asked = body_of(dialect, "text") | {"model": "code"} | stops
    with world(family=FAMILY) as w:
        answer = w.post(PATHS[dialect], asked)
        assert answer.status == 400
        said = f"{next(iter(stops))} is not offered by OpenAI's Responses"
        assert said in answer.json()["error"]["message"]
        assert w.upstream.requests == []

"""What real clients were seen to send or to trip over: addresses, pieces, thoughts, errors."""

import json
from typing import Any

import pytest

from tests.gateway.world import chat, messages, world
from turnout.gateway.access import Access

KEY = "a-key-of-forty-characters-for-these-tests"
DEPLOYMENT = "/openai/deployments/coder"


@pytest.mark.parametrize("family", ["openai", "anthropic"])
@pytest.mark.parametrize("header", ["api-key", "x-api-key"])
def test_azures_clients_are_answered_by_the_deployment_that_they_name(
    family: str, header: str
) -> None:
    """Their address names the model, whatever the body says; their key has a header of its own."""
    with world(family=family, access=Access([KEY])) as w:
        body = chat("nonce: n1") | {"model": "gpt-4o"}
        path = f"{DEPLOYMENT}/chat/completions?api-version=2024-10-21"
        answer = w.post(path, body, {header: KEY})
        nobody = w.post(path, body, {header: "another"})
    assert answer.status == 200, answer.body
    assert answer.json()["model"] == "acme/coder"
    assert nobody.status == 401


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/openai/v1/chat/completions", chat()),
        ("/openai/v1/responses?api-version=preview", {"input": "hi"}),
        ("/openai/responses?api-version=2025-04-01-preview", {"input": "hi"}),
        ("/v1/deployments/fast/chat/completions", chat()),
        ("/openai/deployments/acme%2Ffast/chat/completions", {"messages": chat()["messages"]}),
    ],
)
def test_each_form_of_azures_addresses_is_served(path: str, body: dict[str, Any]) -> None:
    """Old clients name deployments, new ones a version; a base URL brings in forms of its own."""
    with world() as w:
        assert w.post(path, body).status == 200
        assert w.get("/openai/models").json()["data"][0]["id"] == "auto"


def test_azures_embeddings_come_from_the_deployment() -> None:
    """A body there has no model at all."""
    vectors = {
        "vectors": {
            "model": "acme/vectors",
            "kind": "embedding",
            "price": {"input": 0.1, "output": 0},
        }
    }
    with world(embedding=vectors) as w:
        path = "/openai/deployments/vectors/embeddings?api-version=2023-05-15"
        answer = w.post(path, {"input": ["a", "b"]})
    assert answer.status == 200, answer.body
    assert len(answer.json()["data"]) == 2


@pytest.mark.parametrize(
    "path", ["/openai/v1/keys", "/openai/deployments/fast/keys", "/openai/v1/budgets/x"]
)
def test_azures_addresses_lead_to_nothing_else(path: str) -> None:
    """Keys and budgets have one address each, at which an administrator's key is looked for."""
    with world(access=Access([KEY])) as w:
        assert w.get(path, {"api-key": KEY}).status == 404


def test_a_key_of_a_request_belongs_to_the_deployment_too() -> None:
    """The same key and body at another deployment are another request, not the first answer."""
    with world() as w:
        key = {"idempotency-key": "once"}
        first = w.post(f"{DEPLOYMENT}/chat/completions", chat(), key)
        again = w.post(f"{DEPLOYMENT}/chat/completions", chat(), key)
        other = w.post("/openai/deployments/fast/chat/completions", chat(), key)
    assert first.status == 200
    assert again.body == first.body
    assert other.status == 422


@pytest.mark.parametrize("script", ["honest", "f-nousage"])
@pytest.mark.parametrize("family", ["openai", "anthropic", "openai-responses"])
def test_the_usage_of_a_stream_is_its_last_chunk_which_has_no_choices(
    family: str, script: str
) -> None:
    """As OpenAI has it: clients read it there, and read no choice of it; each chunk has one id."""
    asked = chat(model="coder", stream=True, stream_options={"include_usage": True})
    with world(family=family) as w:
        w.upstream.scripts["acme/coder"] = script
        events = w.post("/v1/chat/completions", asked).events()
    assert events[-1][1] == "[DONE]"
    chunks = [json.loads(data) for _, data in events[:-1]]
    assert [bool(c.get("usage")) for c in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1]["choices"] == []
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert all(c["choices"] for c in chunks[:-1])


@pytest.mark.parametrize("family", ["openai", "anthropic"])
def test_a_piece_of_chat_says_no_content_where_it_has_none(family: str) -> None:
    """Callers written for openai 0.28 join ``delta.get("content", "")``, which null breaks."""
    with world(family=family) as w:
        events = w.post("/v1/chat/completions", chat(stream=True)).events()
    pieces = [json.loads(data)["choices"][0]["delta"] for _, data in events if data != "[DONE]"]
    assert "".join(piece.get("content", "") for piece in pieces)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({}, False),
        ({"thinking": {"type": "disabled"}}, False),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, True),
        ({"tools": [{"name": "find", "input_schema": {"type": "object"}}]}, True),
    ],
)
def test_messages_begin_with_their_text_unless_thoughts_were_asked_for(
    more: dict[str, Any], *, shown: bool, stream: bool
) -> None:
    """``content[0].text`` is what callers read; beside tools a model may want its thoughts back."""
    with world(models={"coder": "f-reason"}) as w:
        body = messages(stream=stream, **more) | {"model": "coder", "max_tokens": 2000}
        answer = w.post("/v1/messages", body)
    if stream:
        started = [json.loads(d) for n, d in answer.events() if n == "content_block_start"]
        blocks = [one["content_block"] for one in started]
        assert [one["index"] for one in started] == list(range(len(blocks)))
    else:
        blocks = answer.json()["content"]
    assert (blocks[0]["type"] == "thinking") == shown
    assert blocks[-1]["type"] in ("text", "tool_use")


def test_a_broken_stream_of_responses_tells_its_error_in_both_forms() -> None:
    """The documented event is the error; AI SDK 5 takes only one that holds it for an error."""
    with world(models={"coder": "f-error@3"}) as w:
        body = {"model": "coder", "input": "hi", "stream": True}
        events = dict(w.post("/v1/responses", body).events())
    told = json.loads(events["error"])
    assert told["message"] == told["error"]["message"]
    assert told["code"] == told["error"]["code"]
    assert "response.failed" in events


def test_models_that_nobody_would_ask_are_no_reason() -> None:
    """A refusal names why models cannot be asked, and says nothing of the others."""
    with world(models={"fast": "f-404"}, fallbacks=[], default="fast", intents={}) as w:
        w.post("/v1/chat/completions", chat())
        error = w.post("/v1/chat/completions", chat()).json()["error"]
    assert "fast: cooling down" in error["message"]
    assert "None" not in error["message"]

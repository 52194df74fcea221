"""``models``: a request names further models, as at OpenRouter; no provider sees the list."""

from pathlib import Path
from typing import Any

import pytest

from tests.gateway.world import chat, messages, world
from tests.runtime.world import router
from turnout.gateway.access import Access
from turnout.testing import FaultyUpstream

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
QUESTION = "What is the capital of Japan?"
ADMIN = {"x-api-key": "admin-key-0123456789"}


def asked(path: str, **more: Any) -> dict[str, Any]:
    """A short question in the API of this path, without a model unless ``more`` has one."""
    if path == RESPONSES:
        return {"input": QUESTION, **more}
    return {CHAT: chat, MESSAGES: messages}[path](QUESTION, **{"model": None, **more})


@pytest.mark.parametrize("family", ["openai", "anthropic", "openai-responses"])
@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
def test_the_next_model_named_answers_when_one_fails(path: str, family: str) -> None:
    """In the order of the list, whatever the API of either side."""
    with world(family=family, retries={"retries": 0}) as w:
        w.upstream.scripts["acme/coder"] = "f-503"
        answer = w.post(path, asked(path, models=["coder", "strong", "fast"]))
    assert answer.status == 200
    assert answer.headers["x-turnout-model"] == "acme/strong"
    assert answer.headers["x-turnout-attempts"] == "2"
    assert [r.json()["model"] for r in w.upstream.requests] == ["acme/coder", "acme/strong"]
    assert all("models" not in r.json() for r in w.upstream.requests)


def test_the_list_follows_the_model() -> None:
    """A model named by itself comes first, and once."""
    with world(retries={"retries": 0}) as w:
        w.upstream.scripts["acme/coder"] = "f-503"
        answer = w.post(CHAT, chat(model="coder", models=["acme/fast", "coder"]))
    assert answer.headers["x-turnout-model"] == "acme/fast"


@pytest.mark.parametrize(
    ("model", "served"),
    [("auto", "acme/strong"), ("cheapest", "acme/coder"), ("code", "acme/coder")],
)
def test_a_choice_is_among_the_models_named(model: str, served: str) -> None:
    """The model for simple questions, ``fast``, is not one of them."""
    with world(fallbacks=["strong", "coder"], policy="intent_map") as w:
        answer = w.post(CHAT, chat(model=model, models=["coder", "strong"]))
    assert answer.headers["x-turnout-model"] == served


def test_a_key_reaches_only_its_models(tmp_path: Path) -> None:
    """Others in the list are passed over; a list of others alone is refused."""
    ledger = str(tmp_path / "ledger.db")
    with world(access=Access(admin=ADMIN["x-api-key"]), ledger=ledger) as w:
        made = w.post("/v1/keys", {"name": "k", "models": ["fast"]}, ADMIN).json()
        key = {"authorization": f"Bearer {made['key']}"}
        some = w.post(CHAT, asked(CHAT, models=["strong", "fast"]), key)
        none = w.post(CHAT, asked(CHAT, models=["strong", "coder"]), key)
    assert some.headers["x-turnout-model"] == "acme/fast"
    assert none.status >= 400
    assert [r.json()["model"] for r in w.upstream.requests] == ["acme/fast"]


def test_an_alias_may_be_in_the_list() -> None:
    """It stands for its model there as elsewhere."""
    with world(aliases={"big": "strong"}) as w:
        assert w.post(CHAT, asked(CHAT, models=["big"])).headers["x-turnout-model"] == "acme/strong"


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
@pytest.mark.parametrize(
    ("models", "said"),
    [
        ("fast", "a list of models' names"),
        (["fast", 3], "a list of models' names"),
        (["fast", ""], "a list of models' names"),
        (["fast", "fsat"], "did you mean 'fast'"),
        (["fast", "auto"], "name models alone"),
        ([f"m{n}" for n in range(101)], "at most 100"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(path: str, models: object, said: str) -> None:
    """Before any model is called."""
    with world() as w:
        answer = w.post(path, asked(path, models=models))
    assert answer.status in (400, 404)
    assert said in answer.json()["error"]["message"]
    assert not w.upstream.requests


def test_embeddings_come_from_one_model() -> None:
    """Vectors of several cannot be compared."""
    model = {"vectors": {"model": "acme/vectors", "kind": "embedding", "price": "unknown"}}
    with world(embedding=model) as w:
        body = {"input": "a", "model": "vectors", "models": ["vectors", "other"]}
        answer = w.post("/v1/embeddings", body)
    assert answer.status == 400
    assert answer.json()["error"]["param"] == "models"
    assert not w.upstream.requests


def test_the_library_takes_the_same_list() -> None:
    """As a parameter, or in a whole body."""
    with FaultyUpstream() as upstream, router(upstream, retries={"retries": 0}) as r:
        upstream.scripts["acme/coder"] = "f-503"
        replies = [
            r.chat(QUESTION, models=["coder", "strong"]),
            r.chat({"messages": [{"role": "user", "content": QUESTION}], "models": ["strong"]}),
        ]
        assert [reply.body["model"] for reply in replies] == ["acme/strong", "acme/strong"]
        assert all("models" not in sent.json() for sent in upstream.requests)

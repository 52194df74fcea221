"""Embeddings through the gateway: forms, one model only, the same walk and the same account."""

import asyncio
import base64
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.world import Answer, World, chat, world
from tests.runtime.world import config
from turnout import Router
from turnout.core import Chunk, ConfigError, Request
from turnout.core.vectors import floats_of
from turnout.gateway.access import Access
from turnout.ledger import store_at
from turnout.providers.openai_embeddings import for_each
from turnout.runtime.ids import new_id
from turnout.testing import FaultyUpstream

PATH = "/v1/embeddings"


def embedders(*places: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One embedding model at these places."""
    model = {"model": "acme/vectors", "kind": "embedding", "price": {"input": 20, "output": 0}}
    return {"vectors": {**model, **({"deployments": list(places)} if places else {}), **more}}


@contextmanager
def embedding_world(extra: dict[str, Any] | None = None, **more: Any) -> Iterator[World]:
    """A gateway with the three chat models and embedding models."""
    with world(embedding=embedders() if extra is None else extra, **more) as w:
        yield w


def test_every_input_has_its_vector() -> None:
    """An answer that lacks one would shift all behind it; one in another order is put in order."""
    asked = {"model": "vectors", "input": ["a", "b", "c"]}
    with embedding_world(retries={"retries": 1, "base_s": 0.01}) as w:
        honest = w.post(PATH, asked).json()["data"]
        w.upstream.scripts["acme/vectors"] = "f-reversed"
        assert w.post(PATH, asked).json()["data"] == honest
        w.upstream.scripts["acme/vectors"] = "f-fails=3-fewer"
        again = w.post(PATH, asked)
        assert (again.json()["data"], again.headers["x-turnout-attempts"]) == (honest, "2")
        w.upstream.scripts["acme/vectors"] = "f-fewer"
        failed = w.post(PATH, {**asked, "input": "a b"})
        assert failed.status == 502
        assert "0 embeddings" in failed.body.decode() or "no embeddings" in failed.body.decode()


@pytest.mark.parametrize("index", [0, None, [1], "2"])
def test_vectors_that_are_not_numbered_stay_as_they_came(index: object) -> None:
    """As servers send them that number all alike, or none."""
    data = [{"embedding": [float(place)], "index": index} for place in range(3)]
    request = Request(id="r", body={"input": ["a", "b", "c"]}, dialect="embeddings")
    found = for_each(Chunk(raw={"data": data}), request)
    assert isinstance(found, Chunk)
    assert found.raw["data"] == data


def test_texts_and_tokens_become_vectors_and_are_accounted() -> None:
    """One text, several, token ids, lists of them: a vector each, billed at the input's price."""
    with embedding_world() as w:
        for given, count in (
            ("hello there", 1),
            (["a", "b c"], 2),
            ([1, 2, 3], 1),
            ([[1], [2]], 2),
        ):
            answer = w.post(PATH, {"model": "vectors", "input": given})
            body = answer.json()
            assert answer.status == 200
            assert [item["index"] for item in body["data"]] == list(range(count))
            assert all(len(item["embedding"]) == 8 for item in body["data"])
            tokens = w.upstream.invoice[-1].prompt_tokens
            assert body["usage"]["prompt_tokens"] == tokens
            cost = float(answer.headers["x-turnout-cost-usd"])
            assert cost == pytest.approx(tokens * 20 / 1e6)
        record = w.get(f"/v1/decisions/{answer.headers['x-turnout-decision']}").json()
    assert body["model"] == "acme/vectors"
    assert answer.headers["x-turnout-intent"] == "embedding"
    assert record["attempts"][0]["input_tokens"] == tokens


def test_both_forms_hold_the_same_numbers_and_sizes_pass_through() -> None:
    """base64 is what the official client asks for; dimensions and unknown fields are forwarded."""
    with embedding_world() as w:
        asked = {"model": "vectors", "input": "x", "dimensions": 4, "user": "u1"}
        plain = w.post(PATH, {**asked, "encoding_format": "float"}).json()
        packed = w.post(PATH, {**asked, "encoding_format": "base64"}).json()
        assert w.upstream.requests[-1].json()["user"] == "u1"
    numbers = plain["data"][0]["embedding"]
    text = packed["data"][0]["embedding"]
    assert floats_of(text) == pytest.approx(numbers)
    assert len(base64.b64decode(text)) == struct.calcsize("<4f")


def test_keys_budgets_cache_and_repeats_count_as_for_chats(tmp_path: Path) -> None:
    """A key's models, its budgets of each unit, the exact cache and Idempotency-Key."""
    admin = {"x-api-key": "admin-key-0123456789"}
    other = {"model": "acme/other", "kind": "embedding", "price": {"input": 1, "output": 0}}
    ledger = tmp_path / "ledger.db"
    with embedding_world(
        {**embedders(), "other": other},
        access=Access(admin=admin["x-api-key"]),
        ledger=str(ledger),
        cache={"ttl_s": 600},
    ) as w:

        def key(**fields: Any) -> dict[str, str]:
            made = w.post("/v1/keys", {"name": "test", **fields}, admin).json()
            return {"authorization": f"Bearer {made['key']}"}

        def ask(caller: dict[str, str], text: str, **fields: Any) -> Answer:
            return w.post(PATH, {"model": "vectors", "input": text, **fields}, caller)

        limited = key(models=["other"])
        assert ask(limited, "a").status == 403
        assert ask(limited, "a", model="other").status == 200
        assert [m["id"] for m in w.get("/v1/models", limited).json()["data"]] == ["other"]
        for budget, second in (
            ({"requests": 1}, 429),
            ({"tokens": 78}, 429),  # 74 are held for these 8
            ({"usd": 0.00156}, 402),
        ):
            caller = key(budgets=[{"window": "total", **budget}])
            assert [ask(caller, text * 8).status for text in ("a ", "b ")] == [200, second]
        one, calls = key(), len(w.upstream.invoice)
        first, again = ask(one, "kept"), ask(one, "kept")
        assert (again.body, again.headers["x-turnout-cache"]) == (first.body, "hit")
        assert ask(key(), "kept").headers.get("x-turnout-cache") is None
        packed = ask(one, "kept", encoding_format="base64").json()["data"][0]["embedding"]
        assert floats_of(packed) == pytest.approx(first.json()["data"][0]["embedding"])
        once = {**one, "idempotency-key": "k1"}
        repeats = [ask(once, "once") for _ in range(2)]
        assert repeats[0].body == repeats[1].body
        assert repeats[1].headers["idempotent-replayed"] == "true"
        assert len(w.upstream.invoice) == calls + 4
    assert store_at(ledger).fetch("SELECT count(*) FROM holds") == [(0,)]


def test_a_failing_place_is_followed_by_another_of_the_same_model_only() -> None:
    """The second place answers; where all fail the caller hears of it, and nobody else is asked."""
    two = embedders({"model": "f-500", "api_key": "a"}, {"model": "acme/vectors", "api_key": "b"})
    other = {"others": {"model": "acme/others", "kind": "embedding", "price": "unknown"}}
    with embedding_world({**two, **other}, retries={"retries": 0}) as w:
        for _ in range(4):
            assert w.post(PATH, {"model": "vectors", "input": "x"}).status == 200
    broken = embedders({"model": "f-500", "api_key": "a"}, {"model": "f-503", "api_key": "b"})
    with embedding_world({**broken, **other}, retries={"retries": 0}) as w:
        answer = w.post(PATH, {"model": "vectors", "input": "x"})
        assert {entry.model for entry in w.upstream.invoice} == {"f-500", "f-503"}
    assert answer.status == 502
    assert len(answer.json()["error"]["attempts"]) == 2


def test_the_default_is_used_where_no_model_is_named() -> None:
    """Auto means the configured default; without one it is an error that says what to write."""
    two = embedders({"api_key": "a"}, {"api_key": "b"})
    other = {"other": {"model": "acme/other", "kind": "embedding", "price": "unknown"}}
    with embedding_world({**two, **other}, embeddings="vectors") as w:
        answer, named = w.post(PATH, {"input": "x"}), w.post(PATH, {"input": "x", "model": "other"})
        decision = w.get(f"/v1/decisions/{answer.headers['x-turnout-decision']}").json()
    assert answer.json()["model"] == "acme/vectors"
    assert answer.headers["x-turnout-reason"] == "the default for embeddings"
    assert named.headers["x-turnout-reason"] == "asked for by name"
    assert {c["deployment"] for c in decision["candidates"]} == {"vectors", "vectors#2"}
    with embedding_world() as w:
        answer = w.post(PATH, {"input": "x"})
    assert answer.status == 404
    assert "embeddings: NAME" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": "vectors"}, "input"),
        ({"model": "vectors", "input": ""}, "input"),
        ({"model": "vectors", "input": []}, "input"),
        ({"model": "vectors", "input": ["a", 3]}, "input[1]"),
        ({"model": "vectors", "input": ["a"] * 2049}, "input"),
        ({"model": "vectors", "input": "x", "dimensions": 0}, "dimensions"),
        ({"model": "vectors", "input": "x", "encoding_format": "hex"}, "encoding_format"),
        ({"model": "vectors", "input": "x", "stream": True}, "stream"),
        ({"model": "fast", "input": "x"}, "model"),
        ({"model": "nobody", "input": "x"}, "model"),
    ],
)
def test_what_cannot_be_embedded_is_refused_by_name(body: dict[str, Any], field: str) -> None:
    """The error names the field, and no model is asked."""
    with embedding_world() as w:
        answer = w.post(PATH, body)
        assert w.upstream.invoice == []
    assert answer.status == (404 if field == "model" else 400)
    assert answer.json()["error"]["param"] == field


def test_a_chat_is_never_answered_by_an_embedding_model() -> None:
    """It is no candidate, and its name is an error on the chat path."""
    with embedding_world() as w:
        decision = w.post("/v1/route", chat()).json()
        assert "vectors" not in {c["deployment"] for c in decision["candidates"]}
        assert w.post("/v1/chat/completions", chat(model="vectors")).status == 404
        kinds = {m["id"]: m.get("kind") for m in w.get("/v1/models").json()["data"]}
    assert kinds["vectors"] == "embedding"
    assert kinds["fast"] == "chat"


def test_without_a_key_nothing_stands_in() -> None:
    """Vectors of another model would poison an index, so the error names the missing key."""
    lacking = embedders()
    lacking["vectors"]["provider"] = "openai"
    with embedding_world(lacking) as w:
        answer = w.post(PATH, {"model": "vectors", "input": "x"})
    assert answer.status in (400, 503)
    assert "OPENAI_API_KEY" in answer.json()["error"]["message"]


def test_broken_answers_are_errors_and_missing_usage_is_counted() -> None:
    """Half JSON is a 502; an answer without usage is counted here and marked estimated."""
    with embedding_world(embedders(model="f-halfjson"), retries={"retries": 0}) as w:
        assert w.post(PATH, {"model": "vectors", "input": "x"}).status == 502
    with embedding_world(embedders(model="f-nousage")) as w:
        answer = w.post(PATH, {"model": "vectors", "input": "one two three"})
        record = w.get(f"/v1/decisions/{answer.headers['x-turnout-decision']}").json()
    assert answer.json()["usage"]["prompt_tokens"] > 0 or record["attempts"][0]["estimated"]
    assert record["attempts"][0]["input_tokens"] > 0


def test_the_configuration_keeps_the_kinds_apart() -> None:
    """An embedding model cannot be the default for chats, nor a chat model the one for vectors."""
    base = {"models": {"a": {"model": "m", "price": "unknown"}, **embedders()}}
    base["providers"] = {"p": {"base_url": "http://127.0.0.1:1/v1", "api_key": "k"}}  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="is an embedding model"):
        Router.from_config({**base, "default": "vectors"}, environ={})
    with pytest.raises(ConfigError, match="is not an embedding model"):
        Router.from_config({**base, "default": "a", "embeddings": "a"}, environ={})
    base["providers"]["p"]["family"] = "anthropic"
    with pytest.raises(ConfigError, match=r"models\.vectors\.kind: p speaks Anthropic's API"):
        Router.from_config({**base, "default": "a"}, environ={})


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
@pytest.mark.parametrize("name", ["vectors", "acme/vectors"])
def test_a_model_for_vectors_answers_nothing(path: str, name: str) -> None:
    """Asked for an answer, its refusal says what it is for and where to call it."""
    with embedding_world() as w:
        answer = w.post(path, {**chat(), "model": name, "max_tokens": 9, "input": "x"})
        assert answer.status == 404
        message = answer.json()["error"]["message"]
    assert f"{name!r} is for embedding" in message
    assert "/v1/embeddings" in message


async def test_a_caller_who_leaves_while_it_is_admitted_leaves_no_hold(tmp_path: Path) -> None:
    """At whichever moment, what was held for the request is free again."""
    ledger = str(tmp_path / "ledger.db")
    with FaultyUpstream() as upstream:
        settings = config(upstream, ledger=ledger)
        settings["models"].update(embedders())
        engine = Router.from_config(settings, environ={})
        for number in range(60):
            body = {"input": f"text {number}"}
            request = Request(id=new_id(), body=body, model="vectors", dialect="embeddings")
            task = asyncio.create_task(engine.begin(request))
            await asyncio.sleep(number * 5e-5)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await (await task).whole()
        assert store_at(tmp_path / "ledger.db").fetch("SELECT count(*) FROM holds") == [(0,)]
        await engine.aclose()

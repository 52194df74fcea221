"""One door: nothing that a caller writes chooses where a call goes, by which key, or past whom."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.world import World, chat, messages, world
from tests.waiting import soon
from turnout.gateway.access import Access

ADMIN = {"x-api-key": "admin-key-0123456789"}
VECTORS = {
    "vec": {"model": "acme/vectors", "kind": "embedding", "price": {"input": 1, "output": 0}}
}


class Listener:
    """A service of the inside that nobody outside may reach; ``calls`` counts who did."""

    def __init__(self) -> None:
        self.calls = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept_calls, daemon=True).start()

    def _accept_calls(self) -> None:
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            self.calls += 1
            link.close()

    def close(self) -> None:
        """Ends it."""
        self._socket.close()


@pytest.fixture
def forbidden_listener() -> Iterator[Listener]:
    """A listener that must not be called."""
    found = Listener()
    yield found
    found.close()


def _address_forms(forbidden_listener: Listener) -> list[str]:
    """Ways of writing that address."""
    port = forbidden_listener.place.partition(":")[2]
    return [
        f"http://{forbidden_listener.place}/v1", f"http://{forbidden_listener.place}#", f"http://x@{forbidden_listener.place}/",
        f"http://0.0.0.0:{port}/", f"http://2130706433:{port}/", f"//{forbidden_listener.place}/",
        f"http://localhost:{port}/v1?", forbidden_listener.place,
    ]  # fmt: skip


FIELDS = [
    "base_url",
    "api_base",
    "endpoint",
    "url",
    "host",
    "api_url",
    "target",
    "proxy",
    "webhook",
]
SECTIONS = ["extra_body", "extra_headers", "provider", "litellm_params", "metadata", "config"]
HEADERS = [
    "x-base-url", "x-portkey-custom-host", "x-forwarded-host", "x-original-url", "x-api-base",
    "openai-organization", "forwarded", "x-litellm-api-base",
]  # fmt: skip


def test_no_field_and_no_header_chooses_the_place_or_the_key(forbidden_listener: Listener) -> None:
    """Whatever is called a URL or a key goes to the configured place under its key, or nowhere."""
    with world() as w:
        for place in _address_forms(forbidden_listener):
            more: dict[str, Any] = dict.fromkeys(FIELDS, place)
            more |= {name: {"base_url": place, "api_base": place} for name in SECTIONS[:-2]}
            more |= {"metadata": {"base_url": place}, "api_key": "sk-theirs", "user": place}
            named = dict.fromkeys(HEADERS, place)
            for path, body in (
                ("/v1/chat/completions", chat(**more)),
                ("/v1/messages", messages(**more)),
                ("/v1/responses", {"input": "2 + 2?", **more}),
            ):
                assert w.post(path, body, named).status < 500
            assert w.post("/v1/chat/completions", chat(model=place), named).status == 404
        assert forbidden_listener.calls == 0
        assert w.upstream.requests
        for request in w.upstream.requests:
            assert request.headers["authorization"] == "Bearer k3y-acme"
            assert request.path == "/v1/chat/completions"


@pytest.mark.parametrize("family", ["openai", "openai-responses", "anthropic"])
def test_a_pictures_address_is_not_fetched(forbidden_listener: Listener, family: str) -> None:
    """It goes to the provider as it came, in the words of either family."""
    place = f"http://{forbidden_listener.place}/a.png"
    pictures = [
        {"type": "image_url", "image_url": {"url": place}},
        {"type": "text", "text": "What is this?"},
    ]
    native = [
        {"type": "image", "source": {"type": "url", "url": place}},
        {"type": "text", "text": "What is this?"},
    ]
    with world(family=family, modalities=["text", "image"]) as w:
        told = {"messages": [{"role": "user", "content": pictures}]}
        assert w.post("/v1/chat/completions", told).status == 200
        told = {"messages": [{"role": "user", "content": native}], "max_tokens": 20}
        assert w.post("/v1/messages", told).status == 200
        assert len(w.upstream.requests) == 2
    assert forbidden_listener.calls == 0


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[World]:
    """A gateway with an administrator's token, a ledger, an alias and an embedding model."""
    access, ledger = Access(admin=ADMIN["x-api-key"]), str(tmp_path / "ledger.db")
    more = {"embedding": VECTORS, "aliases": {"mine": "strong"}}
    with world(access=access, ledger=ledger, **more) as found:
        yield found


def _key(gate: World, **fields: Any) -> dict[str, str]:
    made = gate.post("/v1/keys", {"name": "test", **fields}, ADMIN)
    return {"authorization": f"Bearer {made.json()['key']}"}


NAMES = [
    "strong", "STRONG", "Strong", " strong", "strong ", "strong\t", "ｓtrong", "stro\u200bng",
    "acme/strong", "ACME/STRONG", "acme//strong", "acme/../acme/strong", "acme/fast,acme/strong",
    "mine", "MINE", "creative", "code", "strongest", "random", "auto", "coder#2", "strong\u0000",
    "strong\r\nx-model: strong", "strong?model=strong", "%73trong", "'; DROP TABLE keys; --",
    "../../etc/passwd", "$(strong)", "s" * 100_000,
]  # fmt: skip


def test_a_key_is_shown_no_alias_of_a_model_that_it_may_not_use(gate: World) -> None:
    """What is listed can be asked for."""
    for models, shown in ((["fast"], False), (["fast", "strong"], True)):
        key = _key(gate, models=models)
        listed = {model["id"] for model in gate.get("/v1/models", key).json()["data"]}
        assert ("mine" in listed) == shown
        assert gate.get("/v1/models/mine", key).status == (200 if shown else 404)
    listed = [model["id"] for model in gate.get("/v1/models", ADMIN).json()["data"]]
    assert listed[:2] == ["auto", "mine"]


def test_a_key_reaches_nothing_but_its_models_however_they_are_named(gate: World) -> None:
    """By case, blanks, look-alikes, aliases, intents, policies, the address or a header."""
    key = _key(gate, models=["fast"])
    statuses = set()
    for name in NAMES:
        for path in ("/v1/chat/completions", "/v1/chat/completions?model=strong"):
            said = chat("Write a poem about Python", model=name)
            statuses.add(gate.post(path, said, {**key, "x-model": "strong"}).status)
        asked = messages("Write a poem about Python", model=name)
        statuses.add(gate.post("/v1/messages", asked, key).status)
    gate.upstream.scripts["acme/fast"] = "f-500"  # and no fallback goes past it
    statuses.add(gate.post("/v1/chat/completions", chat(), key).status)
    assert {r.json()["model"] for r in gate.upstream.requests} == {"acme/fast"}
    assert statuses <= {200, 400, 403, 404, 502}
    assert 200 in statuses


def test_every_path_that_costs_money_stops_at_an_empty_budget(gate: World) -> None:
    """The same admission for all of them, whole and streamed, and nothing goes upstream."""
    key = _key(gate, budgets=[{"window": "day", "usd": 0}])
    for path, body in (
        ("/v1/chat/completions", chat()),
        ("/v1/chat/completions", chat(stream=True)),
        ("/v1/chat/completions", chat(model="strong")),
        ("/v1/messages", messages()),
        ("/v1/messages", messages(stream=True)),
        ("/v1/responses", {"input": "2 + 2?"}),
        ("/v1/responses", {"input": "2 + 2?", "stream": True}),
        ("/v1/embeddings", {"input": "a text", "model": "vec"}),
    ):
        refused = gate.post(path, body, key)
        assert (refused.status, b"budget" in refused.body) == (402, True), (path, refused.body)
    assert gate.upstream.requests == []


@contextmanager
def _leaving_caller(w: World, body: bytes) -> Iterator[None]:
    """A caller who has asked, and who leaves when the context ends."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
    with socket.create_connection(("127.0.0.1", w.port)) as link:
        link.sendall(head.encode() + b"\r\n\r\n" + body)
        yield


LABEL = {"classifier": {"kind": "llm", "model": "coder", "deadline_s": 20}}
WAITING = {"retries": {"retries": 1, "base_s": 10, "cap_s": 20, "longest_wait_s": 20}}


@pytest.mark.parametrize(
    ("script", "model", "more"),
    [
        ({"acme/coder": "f-hang"}, "auto", LABEL),
        ({"acme/fast": "f-hang"}, "fast", {}),
        ({"acme/fast": "f-429-ra15"}, "fast", WAITING),
    ],
    ids=["while it is labelled", "before the first token", "between two tries"],
)
def test_a_caller_who_leaves_early_leaves_no_hold(
    tmp_path: Path, script: dict[str, str], model: str, more: dict[str, Any]
) -> None:
    """In every phase before an answer all stops, and what was held is free again."""
    with world(ledger=str(tmp_path / "ledger.db"), **more) as w:
        w.upstream.scripts.update(script)
        recorder: Any = w.gateway.engine.parts.means.recorder

        def hold_count() -> int:
            try:
                return int(recorder.store.fetch("SELECT count(*) FROM holds")[0][0])
            except Exception:  # noqa: BLE001 -- the file appears with the first request
                return 0

        with _leaving_caller(w, json.dumps(chat(model=model, stream=True)).encode()):
            assert soon(lambda: bool(w.upstream.requests) and hold_count() > 0)
        assert soon(lambda: hold_count() == 0)
        calls = len(w.upstream.requests)
        time.sleep(0.5)
        assert len(w.upstream.requests) == calls

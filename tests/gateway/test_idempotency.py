"""``Idempotency-Key``: a request is carried out and charged once, and its answer replayed."""

import http.client
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.world import Answer, World, chat, messages, world
from tests.runtime.world import CODE, PATIENT, UNSAFE, config
from tests.waiting import soon
from turnout.gateway.access import Access
from turnout.gateway.openapi import document
from turnout.ledger import all_requests, store_at, verify
from turnout.runtime.walk import Walk
from turnout.testing import FaultyUpstream
from turnout.testing.serving import Served, serving

ADMIN = {"x-api-key": "admin-key-0123456789"}
STATIC = "static-key-0123456789"
KEYED = {"authorization": f"Bearer {STATIC}"}
CALLS = {
    "/v1/chat/completions": chat(CODE, max_tokens=20),
    "/v1/responses": {"input": CODE, "max_output_tokens": 20},
    "/v1/messages": messages(CODE),
}


@pytest.fixture(params=["ledger", "process"])
def gate(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A gateway with keys that remembers in a ledger, and one that has none."""
    ledger = str(tmp_path / "ledger.db") if request.param == "ledger" else "off"
    access = Access([STATIC, f"{STATIC}-b"], admin=ADMIN["x-api-key"])
    with world(access=access, ledger=ledger) as found:
        yield found


def ask(w: World, key: str | None, path: str = "/v1/chat/completions", **more: Any) -> Answer:
    """A request of the first key, with an idempotency key unless that is None."""
    named = {} if key is None else {"idempotency-key": key}
    return w.post(path, {**CALLS[path], **more}, {**KEYED, **named})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", CALLS)
def test_a_repeated_request_gets_the_same_answer_and_costs_once(
    gate: World, path: str, *, stream: bool
) -> None:
    """Status and body again, a stream as a stream, marked, without a second call."""
    first, again = (ask(gate, f"{path}-1", path, stream=stream) for _ in range(2))
    assert (again.status, again.body) == (first.status, first.body) == (200, first.body)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers.get("transfer-encoding") == first.headers.get("transfer-encoding")
    assert again.headers["x-turnout-decision"] == first.headers["x-turnout-decision"]
    assert again.headers["x-turnout-cost-usd"] == "0"
    assert "x-turnout-expected-cost-usd" not in again.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(gate.upstream.invoice) == 1
    assert len(ask(gate, f"{path}-2", path, stream=stream).body) > 0
    assert len(gate.upstream.invoice) == 2


def test_other_content_under_the_same_key_is_refused(gate: World) -> None:
    """Another body, path or header of ours is another request; order and spaces are not."""
    assert ask(gate, "k").status == 200
    for answer in (
        ask(gate, "k", temperature=0.5),
        ask(gate, "k", "/v1/responses"),
        gate.post(
            "/v1/chat/completions",
            CALLS["/v1/chat/completions"],
            {**KEYED, "idempotency-key": "k", "x-turnout-quality": "0.9"},
        ),
    ):
        assert answer.status == 422
        assert answer.json()["error"]["code"] == "idempotency_key_reused"
        assert answer.headers["x-should-retry"] == "false"
    refused = ask(gate, "k", "/v1/messages")
    assert (refused.status, refused.json()["type"]) == (422, "error")
    assert refused.json()["error"]["type"] == "invalid_request_error"
    turned = dict(reversed(CALLS["/v1/chat/completions"].items()))
    spaced = json.dumps(turned, indent=3).encode()
    again = gate.post("/v1/chat/completions", spaced, {**KEYED, "idempotency-key": "k"})
    assert again.headers["idempotent-replayed"] == "true"
    assert len(gate.upstream.invoice) == 1


def test_callers_do_not_share_idempotency_keys(gate: World) -> None:
    """Another caller's request with the same key and body is its own."""
    own = ask(gate, "k")
    other = gate.post(
        "/v1/chat/completions",
        CALLS["/v1/chat/completions"],
        {"authorization": f"Bearer {STATIC}-b", "idempotency-key": "k"},
    )
    assert (own.status, other.status) == (200, 200)
    assert own.headers["x-turnout-decision"] != other.headers["x-turnout-decision"]
    assert "idempotent-replayed" not in other.headers


@pytest.mark.parametrize("key", ["", "a b", "k" * 256, "caf\xe9"])
def test_an_unusable_key_is_refused_by_name(gate: World, key: str) -> None:
    """Empty, with a space, too long, not ASCII: in the caller's dialect, before any call."""
    answer = gate.post("/v1/messages", messages(), {**KEYED, "idempotency-key": key})
    assert (answer.status, answer.json()["type"]) == (400, "error")
    assert answer.json()["error"]["code"] == "invalid_idempotency_key"
    assert gate.upstream.invoice == []


def test_what_was_not_carried_out_is_not_kept(gate: World) -> None:
    """A request refused for its content, or by a rate limit, may be sent again."""
    bad = ask(gate, "k", model="nobody")
    assert (bad.status, ask(gate, "k", model="nobody").headers.get("idempotent-replayed")) == (
        404,
        None,
    )
    gate.upstream.scripts.update(dict.fromkeys(("acme/coder", "acme/strong", "acme/fast"), "f-429"))
    limited = ask(gate, "r")
    assert (limited.status, limited.headers["x-should-retry"]) == (429, "true")
    gate.upstream.scripts.clear()
    until = time.monotonic() + 15
    while (answer := ask(gate, "r")).status != 200 and time.monotonic() < until:
        time.sleep(0.2)
    assert (answer.status, answer.headers.get("idempotent-replayed")) == (200, None)


def test_a_failure_that_is_final_is_replayed(gate: World) -> None:
    """A 502 with every attempt is an outcome: the same one again, without new calls."""
    gate.upstream.scripts.update(dict.fromkeys(("acme/coder", "acme/strong", "acme/fast"), "f-500"))
    first = ask(gate, "k")
    calls = len(gate.upstream.invoice)
    gate.upstream.scripts.clear()
    again = ask(gate, "k")
    assert first.status == again.status == 502
    assert again.body == first.body
    assert again.headers["idempotent-replayed"] == "true"
    assert len(gate.upstream.invoice) == calls


def test_a_fault_of_ours_is_replayed(gate: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows what was paid for by then: the repetition is not carried out."""

    async def raise_error(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(type(gate.gateway.engine), "begin", raise_error)
    first = ask(gate, "k", "/v1/messages")
    monkeypatch.undo()
    again = ask(gate, "k", "/v1/messages")
    assert first.status == again.status == 500
    assert again.body == first.body
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert gate.upstream.invoice == []


def test_a_stream_that_a_fault_of_ours_ends_is_not_kept(
    gate: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller saw that it broke off, as with one that its provider ends."""
    stream = Walk.stream

    async def first_alone(walk: Walk) -> Any:
        async for batch in stream(walk):
            yield batch
            raise RuntimeError("a bug")

    monkeypatch.setattr(Walk, "stream", first_alone)
    body = json.dumps({**CALLS["/v1/chat/completions"], "stream": True})
    link = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)
    link.request("POST", "/v1/chat/completions", body, {**KEYED, "idempotency-key": "k"})
    answer = link.getresponse()
    assert answer.status == 200
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    link.close()
    monkeypatch.undo()
    again = ask(gate, "k", stream=True)
    assert again.events()[-1][1] == "[DONE]"
    assert "idempotent-replayed" not in again.headers


def test_a_stream_that_breaks_off_is_not_kept(gate: World) -> None:
    """It ended with an error event, so that its key is free for another try."""
    gate.upstream.scripts["acme/coder"] = "f-reset@3"
    first = ask(gate, "k", stream=True)
    assert "error" in first.events()[-1][1]
    gate.upstream.scripts.clear()
    again = ask(gate, "k", stream=True)
    assert again.events()[-1][1] == "[DONE]"
    assert "idempotent-replayed" not in again.headers


def test_a_request_whose_caller_leaves_is_not_kept(gate: World) -> None:
    """Its call is cancelled and its key is free."""
    gate.upstream.scripts["acme/coder"] = "f-slow10s"
    body = json.dumps(CALLS["/v1/chat/completions"]).encode()
    link = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)
    link.request("POST", "/v1/chat/completions", body, {**KEYED, "idempotency-key": "k"})
    assert soon(lambda: len(gate.upstream.invoice) == 1)
    assert ask(gate, "k").status == 409
    link.close()
    gate.upstream.scripts.clear()
    assert soon(lambda: ask(gate, "k").status == 200)


def test_a_refusal_is_kept_like_any_answer(gate: World) -> None:
    """A blocked prompt is answered, and so is its repetition."""
    body, named = chat(UNSAFE), {**KEYED, "idempotency-key": "k"}
    first, again = (gate.post("/v1/chat/completions", body, named) for _ in range(2))
    assert (first.status, again.body) == (200, first.body)
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_cached_and_replayed_alike(*, stream: bool) -> None:
    """The exact cache keeps what was taped, and its hits can be replayed."""
    body = chat(CODE, stream=stream)
    with world(cache={"ttl_s": 60}) as w:
        first = w.post("/v1/chat/completions", body, {"idempotency-key": "k"})
        hit = w.post("/v1/chat/completions", body)
        assert (hit.body, hit.headers["x-turnout-cache"]) == (first.body, "hit")
        other = w.post("/v1/chat/completions", body, {"idempotency-key": "other"})
        again = w.post("/v1/chat/completions", body, {"idempotency-key": "other"})
        assert other.body == again.body == first.body
        assert again.headers["idempotent-replayed"] == "true"
        assert len(w.upstream.invoice) == 1


def test_paths_that_cost_nothing_take_no_notice(gate: World) -> None:
    """Reading and counting are answered anew, whatever the header says."""
    for method, path, body in (
        ("GET", "/v1/models", None),
        ("POST", "/v1/messages/count_tokens", json.dumps(messages()).encode()),
    ):
        for _ in range(2):
            answer = gate.send(method, path, body, {**KEYED, "idempotency-key": "not a key"})
            assert (answer.status, "idempotent-replayed" in answer.headers) == (200, False)


@pytest.mark.parametrize("stream", [False, True])
def test_fifty_at_once_are_one_request(gate: World, *, stream: bool) -> None:
    """One is carried out, the others are told to wait or get its answer: no double charge."""
    gate.upstream.scripts["acme/coder"] = "f-slow0.3s"

    def one(_: int) -> Answer:
        return ask(gate, "same", stream=stream)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(one, range(50)))
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) <= {200, 409}, statuses
    made = [a for a in answers if a.status == 200 and "idempotent-replayed" not in a.headers]
    assert len(made) == 1
    assert len(gate.upstream.invoice) == 1
    for answer in answers:
        if answer.status == 409:
            assert answer.json()["error"]["code"] == "idempotency_key_in_use"
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["x-should-retry"] == "true"
    assert ask(gate, "same", stream=stream).body == made[0].body


def test_a_key_is_made_once_and_its_secret_is_in_no_file(tmp_path: Path) -> None:
    """The replay shows the same secret; the ledger holds neither it nor any text."""
    canary = "canary-4711"
    with world(access=Access(admin=ADMIN["x-api-key"]), ledger=str(tmp_path / "ledger.db")) as gate:
        named = {**ADMIN, "idempotency-key": "make-ci"}
        first, again = (gate.post("/v1/keys", {"name": "ci"}, named) for _ in range(2))
        assert first.status == 200
        assert first.body == again.body
        assert again.headers["idempotent-replayed"] == "true"
        assert "x-turnout-cost-usd" not in again.headers
        assert len(gate.get("/v1/keys", ADMIN).json()["data"]) == 1
        secret = first.json()["key"]
        key = {"authorization": f"Bearer {secret}", "idempotency-key": canary}
        budget = {"per": "all", "window": "day", "usd": 5}
        assert gate.post("/v1/budgets", budget, {**ADMIN, "idempotency-key": "b"}).status == 200
        gate.upstream.replies["acme/coder"] = canary
        answer = gate.post("/v1/chat/completions", chat(CODE), key)
        assert canary in answer.json()["choices"][0]["message"]["content"]
        assert gate.post("/v1/chat/completions", chat(CODE), key).body == answer.body
    for file in filter(Path.is_file, tmp_path.iterdir()):
        held = file.read_bytes()
        for text in (secret, canary, ADMIN["x-api-key"]):
            assert text.encode() not in held, (file, text)


def test_an_answer_is_there_after_a_restart(tmp_path: Path) -> None:
    """The ledger remembers it; and a claim that a killed process left is free again."""
    with FaultyUpstream() as upstream:
        settings = config(upstream, ledger=str(tmp_path / "ledger.db"))
        with serving(settings) as served:
            first = _call(served, "kept")
            upstream.scripts["acme/coder"] = "f-slow30s"
            link = _send(served, "lost")
            assert soon(lambda: len(upstream.invoice) == 2)
            served.process.kill()
            served.process.wait()
            link.close()
        upstream.scripts.clear()
        with serving(settings) as served:
            again = _call(served, "kept")
            assert (again[0], again[2]) == (200, first[2])
            assert again[1]["idempotent-replayed"] == "true"
            assert _call(served, "lost")[0] == 200
            assert len(upstream.invoice) == 3


def test_two_workers_carry_it_out_once(tmp_path: Path) -> None:
    """Fifty requests over connections of their own, spread over both: one call, one charge."""
    ledger = tmp_path / "ledger.db"
    with FaultyUpstream(scripts={"acme/coder": "f-slow0.3s"}) as upstream:
        settings = config(upstream, ledger=str(ledger), timeouts=PATIENT)
        with serving(settings, options=["--workers", "2"]) as served:
            assert soon(lambda: len({_worker(served) for _ in range(10)}) == 2)
            with ThreadPoolExecutor(50) as pool:
                answers = list(pool.map(lambda _: _call(served, "same"), range(50)))
            statuses = Counter(status for status, _, _ in answers)
            assert set(statuses) <= {200, 409}, statuses
            made = [a for a in answers if a[0] == 200 and "idempotent-replayed" not in a[1]]
            assert len(made) == 1
            for _ in range(20):
                status, headers, body = _call(served, "same")
                assert (status, headers["idempotent-replayed"]) == (200, "true")
                assert body == made[0][2]
        assert len(upstream.invoice) == 1
    store = store_at(ledger)
    assert len(list(all_requests(store))) == 1
    assert verify(store) == []


def test_the_document_names_the_header() -> None:
    """Where it is heeded, and nowhere else."""
    heeded = {
        path
        for path, methods in document()["paths"].items()
        for operation in methods.values()
        if any(p["name"] == "Idempotency-Key" for p in operation.get("parameters", ()))
    }
    assert heeded >= {*CALLS, "/v1/embeddings", "/v1/keys", "/v1/budgets", "/v1/feedback"}
    assert "/v1/route" not in heeded


Told = tuple[int, Mapping[str, str], bytes]


def _send(served: Served, key: str) -> http.client.HTTPConnection:
    link = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    body = json.dumps(CALLS["/v1/chat/completions"]).encode()
    link.request("POST", "/v1/chat/completions", body, {"idempotency-key": key})
    return link


def _call(served: Served, key: str) -> Told:
    link = _send(served, key)
    answer = link.getresponse()
    found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    link.close()
    return found


def _worker(served: Served) -> str:
    """Which process takes a new connection: the one that holds its other end."""
    with socket.create_connection(("127.0.0.1", served.port)) as link:
        link.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        link.recv(4096)
        return _holder(link.getsockname()[1], served.port)


def _holder(port: int, served_port: int) -> str:
    """The process with the socket between these ports, by /proc."""
    wanted = f":{served_port:04X} ", f":{port:04X} "
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        parts = line.split()
        if parts[1].endswith(wanted[0].strip()) and parts[2].endswith(wanted[1].strip()):
            inode = f"socket:[{parts[9]}]"
            for held in Path("/proc").glob("[0-9]*/fd/*"):
                try:
                    if held.readlink().name == inode:
                        return held.parts[2]
                except OSError:
                    continue
    raise AssertionError("nobody holds the connection")

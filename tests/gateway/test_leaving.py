"""A caller who leaves: the call is cancelled, or read to its end where it is billed to its end."""

import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.world import World, chat, messages, world
from tests.runtime.world import CODE, PATIENT, config
from tests.waiting import soon
from turnout.ledger import store_at
from turnout.testing import FaultyUpstream, serving

PATHS = {"/v1/chat/completions": chat, "/v1/messages": messages}
DRAIN = {"on_disconnect": "drain", "drain_s": 10}


def send_and_leave(w: World, path: str, *, stream: bool) -> None:
    """Sends a request and closes the connection while it is being answered."""
    body = json.dumps(PATHS[path](CODE, stream=stream)).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", w.port)) as link:
        link.sendall(head.encode() + body)
        if stream:
            link.recv(100)
        else:
            assert soon(lambda: w.upstream.invoice)


def ledger_calls(w: World) -> list[Any]:
    """The ledger's calls: status, output tokens, whether estimated."""
    recorder: Any = w.gateway.engine.parts.means.recorder
    try:
        rows = recorder.store.fetch("SELECT status, output + reasoning, estimated FROM calls")
    except Exception:  # noqa: BLE001 -- the file appears with the first request
        return []
    return list(rows)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_drained_call_is_settled_at_what_the_provider_bills(
    path: str, tmp_path: Any, *, stream: bool
) -> None:
    """The provider makes all tokens and bills them; the ledger has that number and no guess."""
    script = {"coder": "f-drip20ms-tokens60" if stream else "f-slow1s-tokens60"}
    ledger = str(tmp_path / "ledger.db")
    with world(models=script, provider_more=DRAIN, ledger=ledger) as w:
        send_and_leave(w, path, stream=stream)
        assert soon(lambda: ledger_calls(w))
        (entry,) = w.upstream.invoice
        ((status, output, estimated),) = ledger_calls(w)
        assert entry.finished
        assert entry.peer_closed_after is None
        assert status == "cancelled"
        assert output == entry.completion_tokens == 60
        assert not estimated


@pytest.mark.parametrize("drain_s", ["20", "0"])
def test_a_gateway_that_stops_settles_what_it_reads_for_nobody(
    tmp_path: Path, drain_s: str
) -> None:
    """At the provider's numbers if there is time for them, else by our own count."""
    with FaultyUpstream(scripts={"acme/coder": "f-drip20ms-tokens60"}) as upstream:
        settings = config(upstream, ledger=str(tmp_path / "l.db"), timeouts=PATIENT)
        settings["providers"]["acme"].update(DRAIN)
        with serving(settings, options=["--drain-s", drain_s]) as served:
            link = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
            link.request("POST", "/v1/chat/completions", json.dumps(chat(CODE, stream=True)))
            link.getresponse().read(100)
            link.close()
            served.process.terminate()
            assert served.process.wait(30) == 0
        store = store_at(tmp_path / "l.db")
        ((status, output, estimated),) = store.fetch("SELECT status, output, estimated FROM calls")
        assert status == "cancelled"
        assert (output == 60, bool(estimated)) == (drain_s != "0", drain_s == "0")
        assert store.fetch("SELECT count(*) FROM holds") == [(0,)]


def test_a_drain_ends_at_its_time(tmp_path: Any) -> None:
    """What is not over within ``drain_s`` is cancelled and settled by our own count."""
    bounded = {**DRAIN, "drain_s": 0.5}
    ledger = str(tmp_path / "ledger.db")
    with world(models={"coder": "f-drip50ms-tokens400"}, provider_more=bounded, ledger=ledger) as w:
        send_and_leave(w, "/v1/chat/completions", stream=True)
        assert soon(lambda: ledger_calls(w), within_s=4)
        (entry,) = w.upstream.invoice
        assert soon(lambda: entry.ended_s is not None)
        assert entry.completion_tokens < 60
        assert ledger_calls(w)[0][2]


@pytest.mark.parametrize("stream", [True, False])
def test_a_draining_provider_answers_like_any_other(*, stream: bool) -> None:
    """As long as the caller stays nothing differs, a failure after the first token included."""
    with world(provider_more=DRAIN) as w:
        answer = w.post("/v1/chat/completions", chat(CODE, stream=stream))
        assert answer.status == 200
        assert not stream or answer.body.endswith(b"data: [DONE]\n\n")
    with world(models={"coder": "f-reset@4"}, provider_more=DRAIN) as w:
        broken = w.post("/v1/chat/completions", chat(CODE, stream=True))
    assert b"[DONE]" not in broken.body
    assert b'"error"' in broken.body
    with world(models={"coder": "f-500"}, provider_more=DRAIN, retries={"retries": 0}) as w:
        assert w.post("/v1/chat/completions", chat(CODE, stream=stream)).status == 200


@pytest.mark.slow
def test_a_reader_who_does_not_read_pauses_the_provider() -> None:
    """What a slow reader leaves is not read from the provider either, beyond the buffers."""
    with world(models={"coder": "f-tokens400000"}) as w:
        body = json.dumps(chat(CODE, stream=True)).encode()
        head = (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        )
        with socket.socket() as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            link.connect(("127.0.0.1", w.port))
            link.sendall(head % len(body) + body)
            link.recv(100)
            assert soon(lambda: _provider_is_idle(w), within_s=25)
            assert w.upstream.invoice[0].completion_tokens < 400_000


def _provider_is_idle(w: World) -> bool:
    """Whether the provider makes nothing for a second."""
    made = w.upstream.invoice[0].completion_tokens
    time.sleep(1)
    return w.upstream.invoice[0].completion_tokens == made


@pytest.mark.parametrize("stream", [True, False])
def test_what_a_caller_who_left_has_cost_is_counted(
    tmp_path: Any, caplog: pytest.LogCaptureFixture, *, stream: bool
) -> None:
    """In the metrics and in the log, as in the ledger."""
    caplog.set_level("INFO", "turnout")
    script = {"coder": "f-drip20ms-tokens60" if stream else "f-slow1s-tokens60"}
    with world(models=script, ledger=str(tmp_path / "ledger.db")) as w:
        send_and_leave(w, "/v1/chat/completions", stream=stream)
        assert soon(lambda: ledger_calls(w))
        assert soon(lambda: [r for r in caplog.records if r.msg == "left"])
        counted = w.get("/metrics").body.decode()
    assert 'end="cancelled"' in counted
    assert "turnout_cost_usd_total{" in counted
    (line,) = (vars(r)["fields"] for r in caplog.records if r.msg == "left")
    assert line["attempts"] == ["cancelled"]
    assert line["cost_usd"] > 0

"""The hold limit of streams: signs of life before the first token, and what stays possible then."""

import http.client
import json
import time
from typing import Any

import pytest

from tests.gateway.world import World, chat, messages, world
from tests.runtime.world import CODE
from tests.waiting import soon
from turnout.core import LedgerError

HOLD_S = 0.15
PATIENT = {"connect_s": 5, "first_token_s": 10, "inter_token_s": 10, "total_s": 30}
CALLS = {
    "/v1/chat/completions": chat(CODE, stream=True, max_tokens=20),
    "/v1/responses": {"input": CODE, "stream": True},
    "/v1/messages": messages(CODE, stream=True),
}
SIGNS = {
    "/v1/chat/completions": b": waiting for the answer\n\n",
    "/v1/responses": b": waiting for the answer\n\n",
    "/v1/messages": b'event: ping\ndata: {"type":"ping"}\n\n',
}
ENDS = {
    "/v1/chat/completions": "[DONE]",
    "/v1/responses": '"response.completed"',
    "/v1/messages": '"message_stop"',
}


def heartbeat_world(**more: Any) -> Any:
    """A gateway that gives signs every 150 ms."""
    timeouts = {**PATIENT, "hold_s": HOLD_S, **more.pop("timeouts", {})}
    return world(timeouts=timeouts, retries={"retries": 0}, **more)


def timed(w: World, path: str) -> tuple[int, dict[str, str], float, bytes]:
    """A call: status, headers, seconds until its head was there, body."""
    link = http.client.HTTPConnection("127.0.0.1", w.port, timeout=20)
    began = time.monotonic()
    link.request("POST", path, json.dumps(CALLS[path]), {"content-type": "application/json"})
    answer = link.getresponse()
    head_s = time.monotonic() - began
    headers = {name.lower(): value for name, value in answer.getheaders()}
    found = answer.status, headers, head_s, answer.read()
    link.close()
    return found


@pytest.mark.parametrize("path", CALLS)
def test_a_slow_answer_is_announced_and_then_whole(path: str) -> None:
    """The head leaves at the hold limit, signs follow at the same pace, then the answer."""
    with heartbeat_world(models={"coder": "f-slow1.5s"}) as w:
        status, headers, head_s, body = timed(w, path)
    assert (status, HOLD_S <= head_s < 1.2) == (200, True)
    sign = SIGNS[path]
    signs = body.count(sign)
    assert 3 <= signs <= 11
    assert body.startswith(sign * signs)
    assert sign not in body[len(sign) * signs :]
    assert ENDS[path] in body.decode()
    assert headers["x-turnout-intent"] == "code"
    assert headers["x-turnout-decision"]
    assert not {"x-turnout-model", "x-turnout-attempts"} & headers.keys()


@pytest.mark.parametrize("path", CALLS)
def test_a_repetition_of_a_held_answer_costs_nothing(path: str) -> None:
    """Its head was sent before the cost was known; that of the repetition says 0."""
    with heartbeat_world(models={"coder": "f-slow0.5s"}) as w:
        once = {"idempotency-key": "once"}
        first, again = (w.post(path, CALLS[path], once) for _ in range(2))
    assert "x-turnout-expected-cost-usd" not in first.headers
    assert (again.headers["idempotent-replayed"], again.body) == ("true", first.body)
    assert again.headers["x-turnout-cost-usd"] == "0"


@pytest.mark.parametrize("path", CALLS)
def test_the_next_model_still_answers_in_silence(path: str) -> None:
    """A failure after a sign, and before any content, falls over; the body names who answered."""
    with heartbeat_world(models={"coder": "f-slow0.5s-500"}) as w:
        status, _, _, body = timed(w, path)
        assert w.upstream.invoice[0].model == "f-slow0.5s-500"
    assert status == 200
    assert body.startswith(SIGNS[path])
    assert ENDS[path] in body.decode()
    assert '"acme/' in body.decode()
    assert "all_models_failed" not in body.decode()


@pytest.mark.parametrize("path", CALLS)
def test_when_all_fail_after_a_sign_the_stream_says_so(path: str) -> None:
    """An error event in the caller's dialect with every attempt, and no clean end."""
    slow = dict.fromkeys(("coder", "strong", "fast"), "f-slow0.4s-500")
    with heartbeat_world(models=slow) as w:
        status, _, _, body = timed(w, path)
    text = body.decode()
    assert (status, body.startswith(SIGNS[path])) == (200, True)
    assert "all_models_failed" in text
    assert "attempts" in text
    assert ENDS[path] not in text


def test_before_the_limit_a_failure_is_a_status() -> None:
    """As without it: nothing was sent, so the status tells."""
    with heartbeat_world(models=dict.fromkeys(("coder", "strong", "fast"), "f-500")) as w:
        status, headers, _, _ = timed(w, "/v1/chat/completions")
    assert (status, headers["x-turnout-model"]) == (502, "none")


def test_signs_are_no_progress() -> None:
    """The first token's deadline counts on: a silent model is left for the next one."""
    with heartbeat_world(models={"coder": "f-hang"}, timeouts={"first_token_s": 0.6}) as w:
        _, _, _, body = timed(w, "/v1/chat/completions")
        called = [entry.model for entry in w.upstream.invoice]
    assert called[0] == "f-hang"
    assert len(called) == 2
    assert body.endswith(b"data: [DONE]\n\n")


def test_it_is_off_by_default_and_costs_quick_answers_nothing() -> None:
    """Nothing before the first token; with it a quick answer is as ever, its head complete."""
    with world(models={"coder": "f-slow0.5s"}) as w:
        _, headers, head_s, body = timed(w, "/v1/chat/completions")
    assert head_s >= 0.5
    assert body.startswith(b"data:")
    assert headers["x-turnout-model"] == "f-slow0.5s"
    with heartbeat_world(timeouts={"hold_s": 5}) as w:
        _, headers, _, body = timed(w, "/v1/chat/completions")
    assert body.startswith(b"data:")
    assert headers["x-turnout-model"] == "acme/coder"


def test_a_caller_who_leaves_while_held_ends_it_all() -> None:
    """Its call is cancelled, and no sign follows."""
    with heartbeat_world(models={"coder": "f-slow20s"}) as w:
        link = http.client.HTTPConnection("127.0.0.1", w.port, timeout=20)
        link.request("POST", "/v1/chat/completions", json.dumps(CALLS["/v1/chat/completions"]))
        link.getresponse().read(10)
        link.close()
        assert soon(lambda: not w.upstream.open_connections)
        assert soon(lambda: "turnout_requests_in_flight 1.0" in w.get("/metrics").body.decode())


@pytest.mark.parametrize("model", ["acme/coder", "f-slow0.4s"])
@pytest.mark.parametrize("path", CALLS)
def test_a_ledger_that_fails_at_the_end_is_an_error_event(
    path: str, model: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be settled does not end cleanly, nor as a second head in the stream.

    Whether the answer came at once or behind signs of life.
    """
    with heartbeat_world(ledger=str(tmp_path / "ledger.db"), models={"coder": model}) as w:

        def raise_ledger_error(_: object) -> None:
            raise LedgerError("the disk is gone")

        monkeypatch.setattr(w.gateway.engine.parts.means.recorder, "settled", raise_ledger_error)
        status, _, _, body = timed(w, path)
        monkeypatch.undo()
    assert status == 200
    assert body.startswith(SIGNS[path]) or "slow" not in model
    assert b"ledger_unavailable" in body
    assert b"the disk is gone" not in body  # said in the log
    assert ENDS[path] not in body.decode()

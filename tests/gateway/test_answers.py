"""Chat and Messages through the gateway: answers, streams, reasons, errors in the right dialect."""

import json
import re
import socket
from typing import Any

import pytest

from tests.gateway.world import Answer, World, chat, messages, world
from tests.runtime.world import CODE, UNSAFE
from tests.waiting import soon
from turnout import NoEligibleDeployment
from turnout.core import Candidate, Exclusion, ExclusionKind
from turnout.gateway.problem import problem_of

PATHS = {"/v1/chat/completions": chat, "/v1/messages": messages}


def text_of(path: str, answer: Answer) -> str:
    """The text that a whole or streamed answer says."""
    if path == "/v1/messages":
        if not answer.headers["content-type"].startswith("text/event-stream"):
            return "".join(b["text"] for b in answer.json()["content"] if b["type"] == "text")
        pieces = [json.loads(d)["delta"] for n, d in answer.events() if n == "content_block_delta"]
        return "".join(p.get("text", "") for p in pieces)
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return str(answer.json()["choices"][0]["message"]["content"])
    bodies = [json.loads(data) for _, data in answer.events() if data != "[DONE]"]
    return "".join(b["choices"][0]["delta"].get("content") or "" for b in bodies if b["choices"])


def error_of(answer: Answer) -> dict[str, Any]:
    """The error object of a failed answer, which all dialects call ``error``."""
    return dict(answer.json()["error"])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [True, False])
def test_auto_is_answered_by_the_routed_model_and_says_why(path: str, *, stream: bool) -> None:
    """The caller gets the whole text of the chosen model, and headers that explain the choice."""
    with world() as w:
        answer = w.post(path, PATHS[path](CODE + " nonce: n1", stream=stream))
        assert answer.status == 200
        assert text_of(path, answer).startswith("acme/coder answers n1:")
        assert len(w.upstream.invoice) == 1
    assert answer.headers["x-turnout-model"] == "acme/coder"
    assert answer.headers["x-turnout-intent"] == "code"
    assert answer.headers["x-turnout-attempts"] == "1"
    assert answer.headers["x-turnout-decision"].startswith("d_")
    assert answer.headers["x-turnout-reason"]


@pytest.mark.parametrize("family", ["openai", "openai-responses", "anthropic"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("stream", "accepts"), [(True, "text/event-stream"), (False, "application/json")]
)
def test_a_provider_is_told_whether_a_stream_is_wanted(
    family: str, path: str, accepts: str, *, stream: bool
) -> None:
    """By each API's header, whatever the caller's own said."""
    with world(family=family, ledger="off") as w:
        assert w.post(path, PATHS[path](stream=stream), {"accept": "text/plain"}).status == 200
        assert w.upstream.requests[-1].headers["accept"] == accepts


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [True, False])
def test_headers_name_the_fallback_that_answered(path: str, *, stream: bool) -> None:
    """When the first choice fails before its first token, model and attempts are the fallback's."""
    with world(models={"coder": "f-500"}, retries={"retries": 0}) as w:
        answer = w.post(path, PATHS[path](CODE, stream=stream))
    assert answer.status == 200
    assert answer.headers["x-turnout-model"] == "acme/fast"
    assert answer.headers["x-turnout-attempts"] == "2"
    assert answer.headers["x-turnout-reason"] == "fallback of coder after f-500 unavailable"


@pytest.mark.parametrize("stream", [True, False])
def test_without_an_answer_the_reason_is_that_of_the_choice(*, stream: bool) -> None:
    """No model answered, so that there is no other reason."""
    broken = dict.fromkeys(("coder", "fast", "strong"), "f-500")
    with world(models=broken, retries={"retries": 0}) as w:
        answer = w.post("/v1/chat/completions", chat(CODE, stream=stream))
    assert (answer.status, answer.headers["x-turnout-model"]) == (502, "none")
    assert answer.headers["x-turnout-reason"] == "code -> coder"


@pytest.mark.parametrize("path", PATHS)
def test_a_break_after_the_first_byte_is_told_and_never_a_clean_end(path: str) -> None:
    """The last event is an error in the caller's dialect, with the attempt; no end mark follows."""
    with world(models={"coder": "f-reset@4"}) as w:
        answer = w.post(path, PATHS[path](CODE, stream=True))
        assert len(w.upstream.invoice) == 1
    name, data = answer.events()[-1]
    error = json.loads(data)["error"]
    assert error["attempts"][0]["model"] == "f-reset@4"
    assert name == ("error" if path == "/v1/messages" else "")
    assert b"[DONE]" not in answer.body
    assert b"message_stop" not in answer.body


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [True, False])
def test_when_all_fail_the_error_lists_every_attempt(path: str, *, stream: bool) -> None:
    """The status is an error's even for streams, the body carries each attempt in order."""
    with world(models={"coder": "f-500", "fast": "f-404", "strong": "f-429-ra7"}) as w:
        answer = w.post(path, PATHS[path](CODE, stream=stream))
    assert answer.status == 502
    kinds = [a["error"] for a in error_of(answer)["attempts"]]
    assert set(kinds) == {"unavailable", "not_found", "rate_limited"}
    assert answer.headers["x-turnout-model"] == "none"


@pytest.mark.parametrize("path", PATHS)
def test_a_rate_limit_says_when_to_come_back(path: str) -> None:
    """A 429 of the only model is the caller's 429, with its Retry-After."""
    with world(models={"fast": "f-429-ra7"}, retries={"longest_wait_s": 1}) as w:
        answer = w.post(path, PATHS[path](model="fast"))
    assert answer.status == 429
    assert answer.headers["retry-after"] == "7"
    kind = error_of(answer)["type"]
    assert kind == "rate_limit_error"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [True, False])
def test_an_unsafe_request_is_refused_without_a_call(path: str, *, stream: bool) -> None:
    """The refusal is an ordinary answer that says so, and clients are told not to try again."""
    with world() as w:
        answer = w.post(path, PATHS[path](UNSAFE, stream=stream))
        assert w.upstream.invoice == []
    assert answer.status == 200
    assert text_of(path, answer) == "I can't help with that."
    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers["x-turnout-intent"] == "unsafe"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"model":"auto","model":"fast","messages":[]}', "invalid_json"),
        (b'{"messages": NaN}', "invalid_json"),
        (b"\xff\xfe{}", "invalid_json"),
        (b'{"messages":[{"role":"user","content":"\xff"}]}', "invalid_json"),
        (b'{"messages":[{"role":"user","content":"\\ud800"}]}', "invalid_json"),
        (b"[" * 10_000 + b"]" * 10_000, "invalid_json"),
        (b'{"x":' * 100 + b"1" + b"}" * 100, "invalid_json"),
        (b'{"x": 1e999}', "invalid_json"),
        (b"[]", "invalid_request"),
        (b"", "invalid_json"),
        (b'{"messages":[{"role":"user","content":"hi"}],"max_tokens":0}', "invalid_request"),
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_two_parsers_could_read_differently_is_refused(
    path: str, body: bytes, code: str
) -> None:
    """It is a 400 in the caller's dialect, and no model is asked."""
    with world() as w:
        answer = w.post(path, body)
        assert w.upstream.invoice == []
    assert answer.status == 400
    assert error_of(answer)["code"] == code
    assert (answer.json().get("type") == "error") == (path == "/v1/messages")


def _leave_after_first_bytes(w: World, path: str) -> None:
    body = json.dumps(PATHS[path](CODE, stream=True)).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    with socket.create_connection(("127.0.0.1", w.port)) as link:
        link.sendall(head + body)
        link.recv(100)


@pytest.mark.parametrize("path", PATHS)
def test_a_caller_who_leaves_stops_the_upstream_at_once(path: str) -> None:
    """Few tokens are produced after the caller is gone, and the call's connection is closed."""
    with world(models={"coder": "f-drip20ms-tokens200"}) as w:
        _leave_after_first_bytes(w, path)
        assert soon(
            lambda: w.upstream.invoice and w.upstream.invoice[0].ended_s is not None, within_s=3
        )
        assert soon(lambda: w.upstream.open_connections == 0)
        entry = w.upstream.invoice[0]
        assert entry.peer_closed_after is not None
        assert entry.peer_closed_after < 50


def test_a_body_beyond_the_limit_is_refused_by_counting() -> None:
    """Neither a stated nor a chunked length gets past the limit."""
    from turnout.gateway.app import Limits

    with world(limits=Limits(max_body_bytes=1000)) as w:
        assert w.post("/v1/chat/completions", b"x" * 2000).status == 413
        with socket.create_connection(("127.0.0.1", w.port)) as link:
            link.sendall(
                b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
                b"7d0\r\n" + b"x" * 2000 + b"\r\n"
            )
            assert link.recv(100).startswith(b"HTTP/1.1 413 ")


def test_unknown_paths_and_methods_are_refused() -> None:
    """What is not in the table is a 404 or a 405."""
    with world() as w:
        assert w.get("/v1/nothing").status == 404
        assert w.get("/v1/chat/completions").status == 405
        for method, path, takes in (
            ("DELETE", "/v1/models", "GET, HEAD"),
            ("PUT", "/v1/models/fast", "GET, HEAD"),
            ("POST", "/v1/decisions/d_1", "GET, HEAD"),
            ("GET", "/v1/responses/input_tokens", "POST"),
            ("PUT", "/v1/responses/resp_1", "DELETE, GET, HEAD"),
            ("GET", "/v1/responses/resp_1/cancel", "POST"),
        ):
            refused = w.send(method, path, None)
            assert (refused.status, refused.headers["allow"]) == (405, takes), path
        assert w.send("PUT", "/v1/models/", None).status == 404


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/chat/completions", "chat/completions"),
        ("/v1/v1/messages", "messages"),
        ("/v1/responses/", "responses"),
        ("/v1//chat/completions", "chat/completions"),
        ("//v1/chat/completions/", "chat/completions"),
        ("/v1/models/", "models"),
    ],
)
def test_a_path_that_is_nearly_right_is_answered_with_the_right_one(path: str, right: str) -> None:
    """A base URL without its ``/v1``, or with one too many, is the commonest mistake."""
    with world() as w:
        said = w.get(path) if right == "models" else w.post(path, chat())
    assert said.status == 404
    assert said.json()["error"]["message"].endswith(f"; did you mean /v1/{right}?")


@pytest.mark.parametrize(
    ("path", "instead"),
    [
        ("/v1/completions", "use /v1/chat/completions"),
        ("/v1/audio/speech", "call the provider itself"),
        ("/v1/vector_stores", "call the provider itself"),
        ("/v1/assistants", "use /v1/responses"),
        ("/v1/complete", "use /v1/messages"),
        ("/v1/messages/batches", "send the requests one by one"),
        ("/v1/responses/compact", "shorten the conversation yourself and send it"),
        ("/v1/conversations", "name an answer as previous_response_id"),
    ],
)
def test_a_path_that_only_providers_have_says_what_to_do_instead(path: str, instead: str) -> None:
    """What others serve there is named as not offered, not as unknown."""
    with world() as w:
        said = w.post(path, chat())
    assert said.status == 404
    assert f"{path} is not offered here; {instead}" in said.json()["error"]["message"]


def test_anthropics_clients_read_what_is_not_offered_in_their_own_words() -> None:
    """Their header says who asks, where the path is nobody's."""
    with world() as w:
        said = w.get("/v1/files", {"anthropic-version": "2023-06-01"})
    assert said.status == 404
    body = said.json()
    assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")
    assert body["request_id"] == said.headers["x-request-id"]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"max_tokens": None}, "max_tokens is None; use a whole number"),
        ({"messages": ["Hi"]}, "messages[0] must be an object"),
        ({"messages": [{"role": "usr", "content": "Hi"}]}, "messages[0].role is 'usr'; use one of"),
    ],
)
def test_what_is_wrong_in_messages_is_named_with_its_value(more: dict[str, Any], why: str) -> None:
    """A cap that is not there is missing, and no odd value."""
    with world() as w:
        said = w.post("/v1/messages", messages(**more))
        without = w.post("/v1/messages", chat())
    assert (said.status, without.status) == (400, 400)
    assert why in error_of(said)["message"]
    assert "max_tokens is missing" in error_of(without)["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_request_that_fits_no_window_is_told_in_the_words_that_clients_look_for(
    path: str,
) -> None:
    """They shorten it then, whether they read the code or the message."""
    with world() as w:
        said = w.post(path, chat("a " * 130_000, max_tokens=2_000))
    error = said.json()["error"]
    assert (said.status, error["code"]) == (400, "context_length_exceeded")
    assert "longer than the model's context length" in error["message"]
    assert re.search(r"prompt is too long: \d+ tokens > 128000 maximum", error["message"])


@pytest.mark.parametrize("family", ["openai", "openai-responses", "anthropic"])
@pytest.mark.parametrize("model", ["auto", "coder"])
def test_a_cap_beyond_every_model_is_lowered(family: str, model: str) -> None:
    """Clients ask unknown models for as much as any model writes; what is held is no less."""
    thinking = {"type": "enabled", "budget_tokens": 190_000}
    paths = {
        "/v1/chat/completions": chat(max_completion_tokens=200_000),
        "/v1/messages": chat(max_tokens=200_000, thinking=thinking),
        "/v1/responses": {"input": "Hello", "max_output_tokens": 200_000},
    }
    with world(family=family) as w:
        for path, body in paths.items():
            answer = w.post(path, body | {"model": model})
            sent = w.sent()
            caps = [value for name, value in sent.items() if name.startswith("max_")]
            assert answer.status == 200, answer.body
            assert len(caps) == 1
            assert 127_000 < caps[0] < 128_000
            budget = (sent.get("thinking") or {}).get("budget_tokens", 0)
            assert budget < caps[0] * 0.9
            assert "answers at most 127," in answer.headers["x-turnout-reason"]


def test_models_that_are_not_the_callers_do_not_hide_that_the_request_is_too_long() -> None:
    """The caller can do nothing about a key that is missing, and something about the length."""
    kinds: tuple[ExclusionKind, ...] = ("window_exceeded", "not_allowed", "no_key", "denied")
    candidates = [Candidate(kind, kind, excluded=Exclusion(kind, kind)) for kind in kinds]
    assert problem_of(NoEligibleDeployment(candidates)).code == "context_length_exceeded"
    other = Candidate("x", "x", excluded=Exclusion("incapable", "no tools"))
    assert problem_of(NoEligibleDeployment([*candidates, other])).code == "no_eligible_model"


def test_a_probe_may_ask_without_a_body() -> None:
    """Balancers look with HEAD: the status and headers of GET, and nothing behind them."""
    with world() as w, socket.create_connection(("127.0.0.1", w.port)) as link:
        for path in ("healthz", "readyz"):
            head = f"HEAD /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            link.sendall(head.encode())
            said = link.recv(4096)
            assert said.startswith(b"HTTP/1.1 200 ")
            assert said.endswith(b"\r\n\r\n")


def test_a_named_model_passes_unread_where_the_configuration_says_so() -> None:
    """The record says that nothing was read; a routed request is read all the same."""
    with world(safety={"pinned": "pass"}) as w:
        named = w.post("/v1/chat/completions", chat() | {"model": "coder"})
        record = w.get(f"/v1/decisions/{named.headers['x-turnout-decision']}").json()
        assert record["prediction"]["classifier"]["name"] == "none"
        routed = w.post("/v1/chat/completions", chat())
        record = w.get(f"/v1/decisions/{routed.headers['x-turnout-decision']}").json()
        assert record["prediction"]["classifier"]["name"] != "none"

"""Traces in the words of the GenAI conventions: one span a request, its decision and its calls."""

import json
import socket
import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.gateway.test_leaving import send_and_leave
from tests.gateway.world import World, chat, messages, with_picture, world
from tests.runtime.cascades import QUALITY
from tests.runtime.world import CODE, UNSAFE
from tests.waiting import soon
from turnout.config import load_mapping
from turnout.core import ConfigError
from turnout.gateway.tracing import NoTraces, Traces, traces_of

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def span_exporter(w: World) -> InMemorySpanExporter:
    """What the gateway writes from now on."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    w.gateway._traces = Traces(provider)
    return kept


def spans(kept: InMemorySpanExporter) -> dict[str, list[Any]]:
    """Spans by name."""
    found: dict[str, list[Any]] = {}
    for span in kept.get_finished_spans():
        found.setdefault(span.name, []).append(span)
    return found


def test_a_request_its_decision_and_each_call_are_spans_of_one_trace() -> None:
    """The caller's trace goes on: request, decision, failed and answering call, times in order."""
    with world(models={"coder": "f-500"}, retries={"retries": 0}) as w:
        kept = span_exporter(w)
        body = chat(CODE, temperature=0.2, max_tokens=50)
        assert w.post("/v1/chat/completions", body, {"traceparent": PARENT}).status == 200
        upstream = w.upstream.requests[-1].headers["traceparent"]
    found = spans(kept)
    (request,), (decision,) = found["chat auto"], found["decide"]
    (failed,), (answered,) = found["chat f-500"], found["chat acme/fast"]
    assert f"{request.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{request.parent.span_id:016x}" == PARENT.split("-")[2]
    assert upstream.split("-")[2] == f"{request.context.span_id:016x}"
    for span in (decision, failed, answered):
        assert span.parent.span_id == request.context.span_id
    assert request.kind is SpanKind.SERVER
    assert answered.kind is SpanKind.CLIENT
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes["error.type"] == "unavailable"
    assert request.start_time <= decision.end_time <= failed.end_time <= answered.end_time
    assert (
        dict(request.attributes).items()
        >= {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.temperature": 0.2,
            "gen_ai.request.max_tokens": 50,
            "turnout.attempts": 2,
        }.items()
    )
    assert answered.attributes["gen_ai.response.model"] == "acme/fast"
    assert answered.attributes["gen_ai.usage.output_tokens"] > 0
    assert answered.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert decision.attributes["turnout.intent"] == "code"


@pytest.mark.parametrize(("script", "kind"), [("f-500", "unavailable"), ("f-cut@3", "interrupted")])
def test_a_request_that_no_model_answered_says_why(script: str, kind: str) -> None:
    """Also the one whose stream broke off, which was a 200."""
    with world(models={"coder": script}, retries={"retries": 0}) as w:
        kept = span_exporter(w)
        w.post("/v1/chat/completions", chat(CODE, model="coder", stream=True))
        assert soon(lambda: "chat coder" in spans(kept))
    (request,) = spans(kept)["chat coder"]
    assert request.status.status_code is StatusCode.ERROR
    assert request.attributes["error.type"] == kind


def test_no_span_holds_content_or_keys() -> None:
    """Neither the prompt nor the answer nor a key is anywhere in a trace."""
    canary = "canary-7781"
    with world() as w:
        kept = span_exporter(w)
        answer = w.post("/v1/messages", messages(f"Say {canary} twice", stream=True))
        assert answer.status == 200
    written = " ".join(str(dict(s.attributes or {})) for s in kept.get_finished_spans())
    assert canary not in written
    assert "k3y-acme" not in written
    assert "answers" not in written


def test_a_refused_and_a_blocked_request_are_traced_too() -> None:
    """A wrong model name is an error span; a blocked request has a decision and no call."""
    with world() as w:
        kept = span_exporter(w)
        w.post("/v1/chat/completions", chat(model="nobody"))
        w.post("/v1/chat/completions", chat(UNSAFE))
    found = spans(kept)
    (refused,) = found["chat"]
    assert refused.status.status_code is StatusCode.ERROR
    assert refused.attributes["error.type"] == "InvalidRequest"
    (blocked,) = found["chat auto"]
    assert blocked.attributes["turnout.blocked"] is True
    assert set(found) == {"chat", "chat auto", "decide"}


def test_names_that_callers_make_up_are_in_no_spans_name_and_no_label() -> None:
    """There are as many of them as callers like, and each would be kept; an attribute tells one."""
    made_up = [f"made-up-{n}" for n in range(5)]
    with world() as w:
        kept = span_exporter(w)
        for path in ("/v1/chat/completions", "/v1/embeddings"):
            for name in made_up:
                assert w.post(path, chat(model=name, input="?")).status == 404
        for name in ("strong", "STRONG", "sTrOnG"):
            assert w.post("/v1/chat/completions", chat(model=name)).status == 200
        w.post("/v1/chat/completions", chat(model="long" * 10_000))
        metrics = w.get("/metrics").body.decode()
    found = spans(kept)
    assert set(found) == {"chat", "embeddings", "chat strong", "chat acme/strong", "decide"}
    asked = {span.attributes["gen_ai.request.model"] for span in found["chat"]}
    assert asked == {*made_up, ("long" * 10_000)[:128]}
    assert "made-up" not in metrics
    assert "STRONG" not in metrics


def test_without_it_nothing_of_opentelemetry_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off is the default; asked for without the extra it names the line that installs it."""
    base: dict[str, Any] = {"models": {"a": "m"}, "default": "a"}
    assert isinstance(traces_of(load_mapping(base)), NoTraces)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    asked = load_mapping({**base, "telemetry": {"traces": "otlp"}})
    with pytest.raises(ConfigError, match=r"pip install 'turnout\[otel\]'"):
        traces_of(asked)


def test_a_caller_who_left_has_spans_of_his_calls() -> None:
    """With what they have cost until then."""
    with world(models={"coder": "f-drip20ms-tokens60"}) as w:
        kept = span_exporter(w)
        send_and_leave(w, "/v1/chat/completions", stream=True)
        assert soon(lambda: "chat auto" in spans(kept))
    found = spans(kept)
    ((request,), (call,)) = found["chat auto"], found["chat f-drip20ms-tokens60"]
    assert len(found["decide"]) == 1
    assert request.status.status_code is StatusCode.ERROR
    assert call.attributes["turnout.status"] == "cancelled"
    assert call.attributes["turnout.cost_usd"] > 0


def test_a_label_is_a_span_though_its_request_is_refused() -> None:
    """As no model takes it, after the label was paid."""
    label = {"classifier": {"kind": "llm", "model": "coder", "deadline_s": 20}}
    with world(**label) as w:
        kept = span_exporter(w)
        answer = w.post("/v1/chat/completions", with_picture(CODE))
        assert answer.status == 400
    found = spans(kept)
    ((request,), (label_call,)) = found["chat"], found["chat acme/coder"]
    assert label_call.attributes["turnout.role"] == "classifier"
    assert label_call.parent.span_id == request.context.span_id


@pytest.mark.parametrize("beside", ["classifier", "verifier"])
def test_a_call_beside_the_answer_is_a_span_though_its_caller_left(beside: str) -> None:
    """Nobody waits for the label, or the verdict, any more; what it cost is told."""
    asked: dict[str, Any] = {"model": "coder", "deadline_s": 20}
    more: dict[str, Any] = {"classifier": {"kind": "llm", **asked}}
    if beside == "verifier":
        more = {"policy": {"name": "cascade", "steps": 2, "verify": {"kind": "model", **asked}}}
    with world(qualities=QUALITY, **more) as w:
        w.upstream.scripts["acme/coder"] = "f-hang"
        kept = span_exporter(w)
        body = json.dumps(chat()).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
        )
        with socket.create_connection(("127.0.0.1", w.port)) as link:
            link.sendall(f"{head}\r\n\r\n".encode() + body)
            assert soon(lambda: bool(w.upstream.entries("acme/coder")))
        assert soon(lambda: bool({"chat", "chat auto"} & spans(kept).keys()))
    found = spans(kept)
    (call,), (request,) = (
        found["chat acme/coder"],
        found.get("chat", []) + found.get("chat auto", []),
    )
    assert (call.attributes["turnout.role"], call.attributes["turnout.status"]) == (
        beside,
        "cancelled",
    )
    assert call.attributes["turnout.cost_usd"] > 0
    assert call.parent.span_id == request.context.span_id
    assert request.status.status_code is StatusCode.ERROR

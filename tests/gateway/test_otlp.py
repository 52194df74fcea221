"""Traces over OTLP, from ``turnout serve`` to a collector that decodes what arrives."""

import gzip
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.gateway.world import chat, messages
from tests.runtime.world import CODE, PATIENT, config
from turnout.config import load_mapping
from turnout.core import ConfigError
from turnout.gateway.tracing import NoTraces, is_requested_by, traces_of
from turnout.testing import FaultyUpstream
from turnout.testing.serving import Served, serving

CANARY = "canary-9143"
TOKEN = "collector-token-5512"
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100"}
PLAIN = ("serving on", "made an admin token")
BASE: dict[str, Any] = {"models": {"a": "m"}, "default": "a"}


class Collector(ThreadingHTTPServer):
    """Takes traces at ``/v1/traces``; ``wait_s`` passes before each answer, ``status`` is it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        self.paths: list[str] = []
        self.wait_s, self.status = 0.0, 200
        self.leaving = threading.Event()

    @property
    def root(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def exports(self) -> list[ExportTraceServiceRequest]:
        """What arrived, decoded."""
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies]

    def spans(self) -> list[Span]:
        """Every span that arrived."""
        found = self.exports()
        return [s for e in found for r in e.resource_spans for c in r.scope_spans for s in c.spans]

    def wait(self, count: int) -> list[Span]:
        """The spans, once there are as many. Raises AssertionError."""
        until = time.monotonic() + 20
        while len(found := self.spans()) < count:
            assert time.monotonic() < until, [span.name for span in found]
            time.sleep(0.05)
        return found


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        """Keep one export."""
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.leaving.wait(self.server.wait_s)
        self.server.bodies.append(body)
        self.server.headers.append(dict(self.headers))
        self.server.paths.append(self.path)
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector of the test's own."""
    with _collector() as found:
        yield found


@contextmanager
def _collector() -> Iterator[Collector]:
    found = Collector()
    thread = threading.Thread(target=found.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.leaving.set()
        found.shutdown()
        thread.join()
        found.server_close()


def ask(served: Served, path: str, body: Any) -> tuple[int, bytes, float]:
    """A request: status, body, seconds."""
    began = time.monotonic()
    link = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    link.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    answer = link.getresponse()
    found = answer.status, answer.read(), time.monotonic() - began
    link.close()
    return found


def attributes_of(span: Span) -> dict[str, Any]:
    """A span's attributes as plain values."""
    return {pair.key: _plain_value(pair.value) for pair in span.attributes}


def _plain_value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain_value(one) for one in value.array_value.values]
    return getattr(value, kind or "string_value")


def test_spans_of_the_conventions_arrive_without_content_or_secrets(collector: Collector) -> None:
    """The endpoint variable is enough: request, decision and calls, one trace each, no text."""
    environ = {
        **SOON,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.root,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {TOKEN}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    }
    with FaultyUpstream(replies={"acme/fast": f"It is {CANARY}."}) as upstream:
        settings = config(upstream, models={"coder": "f-500"}, retries={"retries": 0})
        settings["timeouts"] = PATIENT
        with serving(settings, environ=environ) as served:
            code = f"{CODE} named {CANARY}"
            assert ask(served, "/v1/chat/completions", chat(code, temperature=0.2))[0] == 200
            status, body, _ = ask(served, "/v1/messages", messages(CANARY, stream=True))
            said = re.findall(r'"text_delta","text":"([^"]*)"', body.decode())
            assert (status, CANARY in "".join(said)) == (200, True)
            spans = collector.wait(7)
            log = served.log()
    assert set(collector.paths) == {"/v1/traces"}
    assert {headers["authorization"] for headers in collector.headers} == {f"Bearer {TOKEN}"}
    assert len({span.trace_id for span in spans}) == 2
    names = sorted(span.name for span in spans)
    assert names == [
        "chat acme/fast",
        "chat acme/fast",
        "chat auto",
        "chat auto",
        "chat f-500",
        "decide",
        "decide",
    ]
    found = {span.name: attributes_of(span) for span in spans}
    call, failed, decision = found["chat acme/fast"], found["chat f-500"], found["decide"]
    assert call["gen_ai.operation.name"] == "chat"
    assert call["gen_ai.provider.name"] == "acme"
    assert call["gen_ai.request.model"] == call["gen_ai.response.model"] == "acme/fast"
    assert call["gen_ai.usage.input_tokens"] > 0
    assert call["gen_ai.usage.output_tokens"] > 0
    assert call["gen_ai.response.finish_reasons"] == ["stop"]
    assert failed["error.type"] == "unavailable"
    assert {"turnout.intent", "turnout.policy", "turnout.decision.id"} <= set(decision)
    (service,) = {
        pair.value.string_value
        for export in collector.exports()
        for one in export.resource_spans
        for pair in one.resource.attributes
        if pair.key == "service.name"
    }
    assert service == "turnout"
    for held in (*collector.bodies, log.encode()):
        for secret in (CANARY, "k3y-acme", TOKEN, "robot"):
            assert secret.encode() not in held


def test_what_is_left_is_sent_when_the_gateway_stops(collector: Collector) -> None:
    """A stop does not lose the spans of the last seconds."""
    environ = {"OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_SERVICE_NAME": "edge"}
    telemetry = {"endpoint": f"{collector.root}/v1/traces"}
    with FaultyUpstream() as upstream:
        with serving(config(upstream, telemetry=telemetry), environ=environ) as served:
            assert ask(served, "/v1/chat/completions", chat(CODE))[0] == 200
            assert collector.bodies == []
    assert len(collector.spans()) == 3
    assert b"edge" in collector.bodies[0]


@pytest.mark.parametrize("trouble", ["down", "slow", "failing"])
def test_a_collector_in_trouble_does_not_touch_answers(trouble: str) -> None:
    """Nobody listens, nobody answers, or all is refused: requests go on, and the stop is soon."""
    with _collector() as collector, FaultyUpstream() as upstream:
        collector.wait_s, collector.status = (60, 200) if trouble == "slow" else (0, 503)
        endpoint = f"http://127.0.0.1:{_closed_port()}" if trouble == "down" else collector.root
        environ = {
            **SOON,
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_BSP_MAX_QUEUE_SIZE": "8",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4",
        }
        settings = {**config(upstream), "timeouts": PATIENT}
        with serving(settings, environ=environ) as served:
            for _ in range(30):
                assert ask(served, "/v1/chat/completions", chat(CODE))[0] == 200
            time.sleep(1)
            status, _, seconds = ask(served, "/v1/chat/completions", chat(CODE))
            assert (status, seconds < 2) == (200, True)
            began = time.monotonic()
            served.process.terminate()
            assert served.process.wait(30) == 0
            assert time.monotonic() - began < 15
            log = served.log()
        lines = [line for line in log.splitlines() if not line.startswith(PLAIN)]
        events = [json.loads(line)["event"] for line in lines]
        complaints = [event for event in events if event != "answered"]
        assert 0 < len(complaints) < 20, complaints


def test_the_environment_asks_in_the_standard_words() -> None:
    """An endpoint or an exporter asks; the standard's own switches say no."""
    here = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    assert is_requested_by(here)
    assert is_requested_by(
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}
    )
    assert is_requested_by({"OTEL_TRACES_EXPORTER": "otlp"})
    assert not is_requested_by({})
    assert not is_requested_by({"OTEL_EXPORTER_OTLP_ENDPOINT": " "})
    for off in (
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": "console"},
    ):
        assert not is_requested_by({**here, **off})


def test_the_configuration_has_the_last_word(caplog: pytest.LogCaptureFixture) -> None:
    """Off is off; what cannot be had is an error where configured, a warning where inherited."""
    grpc = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    off = load_mapping({**BASE, "telemetry": {"traces": "off"}})
    assert isinstance(traces_of(off, grpc), NoTraces)
    assert isinstance(traces_of(load_mapping(BASE), grpc), NoTraces)
    assert "no traces are sent" in caplog.text
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'"):
        traces_of(load_mapping({**BASE, "telemetry": {"traces": "otlp"}}), grpc)
    with pytest.raises(ConfigError, match="endpoint"):
        load_mapping({**BASE, "telemetry": {"endpoint": "collector:4318"}})


def _closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])

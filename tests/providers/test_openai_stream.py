"""Streamed answers: whole, broken off, and cut anywhere."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.core import Chunk, Fault, Usage
from turnout.providers.openai_stream import OpenAIStreamDecoder

DONE = "data: [DONE]\n\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def event(payload: object) -> str:
    """One event with this JSON."""
    return f"data: {json.dumps(payload, ensure_ascii=False)}\n\n"


def part(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> str:
    """One event with one choice."""
    return event({"choices": [{"index": index, "delta": delta, "finish_reason": finish}]})


def read(*pieces: str | bytes, **options: Any) -> list[Chunk | Fault]:
    """All that a decoder says about the pieces and their end."""
    decoder = OpenAIStreamDecoder(**options)
    found: list[Chunk | Fault] = []
    for piece in pieces:
        data = piece.encode() if isinstance(piece, str) else piece
        found.extend(decoder.feed(data))
    fault = decoder.end()
    return [*found, fault] if fault else found


def text_of(found: list[Chunk | Fault]) -> str:
    """All text."""
    return "".join(d.text for item in found if isinstance(item, Chunk) for d in item.deltas)


def last_fault(found: list[Chunk | Fault]) -> Fault:
    """The fault at the end; there is one, and nothing follows it."""
    assert not any(isinstance(item, Fault) for item in found[:-1])
    assert isinstance(found[-1], Fault)
    return found[-1]


GOOD = (
    part({"role": "assistant", "content": ""})
    + part({"content": "grüß "})
    + part({"content": "🚂"})
    + part({}, "stop")
    + event({"choices": [], "usage": USAGE})
    + DONE
)


def test_a_good_stream_is_read() -> None:
    """Text, finish reason and the usage that comes after it."""
    found = read(GOOD)
    assert text_of(found) == "grüß 🚂"
    assert not any(isinstance(item, Fault) for item in found)
    last = found[-1]
    assert isinstance(last, Chunk)
    assert last.usage == Usage(input=3, output=2)


def test_done_is_told() -> None:
    """A reader may stop at the terminator; what comes after it is ignored."""
    decoder = OpenAIStreamDecoder()
    list(decoder.feed(GOOD[: -len(DONE)].encode()))
    assert not decoder.done
    list(decoder.feed(DONE.encode()))
    assert decoder.done
    assert list(decoder.feed(b'data: {"choices": "junk"}\n\n\xff')) == []
    assert decoder.end() is None


def test_a_last_event_without_its_blank_line_counts_as_the_terminator() -> None:
    """Some servers close right after [DONE]."""
    assert read(GOOD.removesuffix("\n\n")) == read(GOOD)


@given(cuts=st.lists(st.integers(0, len(GOOD.encode())), max_size=10), damage=st.integers(0, 400))
def test_any_split_reads_the_same(cuts: list[int], damage: int) -> None:
    """Good and damaged streams read the same in whatever pieces they arrive."""
    wire = bytearray(GOOD.encode())
    if damage < len(wire):
        wire[damage] = ord("}")
    bounds = [0, *sorted(cuts), len(wire)]
    pieces = [bytes(wire[a:b]) for a, b in itertools.pairwise(bounds)]
    assert read(*pieces) == read(bytes(wire))
    assert read(*(wire[i : i + 1] for i in range(len(wire)))) == read(bytes(wire))


@given(cut=st.integers(0, len(GOOD.encode()) - len(DONE)))
def test_a_stream_cut_anywhere_is_never_a_good_one(cut: int) -> None:
    """No prefix of an answer passes for the answer."""
    found = read(GOOD.encode()[:cut])
    assert last_fault(found).kind in ("interrupted", "bad_response")
    assert last_fault(found).retry == "transient"


@given(data=st.binary(max_size=400))
def test_noise_is_never_a_good_answer(data: bytes) -> None:
    """Any bytes end in a fault, and none raises."""
    assert isinstance(read(data)[-1], Fault)


def test_tool_calls_arrive_in_fragments() -> None:
    """Fragments keep their index, so that parallel calls can be put together."""
    first = {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}}
    second = {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}
    rest = {"index": 0, "function": {"arguments": ":1}"}}
    found = read(
        part({"tool_calls": [first]})
        + part({"tool_calls": [second]})
        + part({"tool_calls": [rest]})
        + part({}, "tool_calls")
        + DONE
    )
    calls = [
        c for item in found if isinstance(item, Chunk) for d in item.deltas for c in d.tool_calls
    ]
    arguments = {i: "".join(c.arguments for c in calls if c.index == i) for i in (0, 1)}
    assert arguments == {0: '{"x":1}', 1: "{}"}
    assert [c.name for c in calls if c.name] == ["f", "g"]


def test_one_malformed_event_is_skipped() -> None:
    """A single broken event costs its own text and nothing else."""
    found = read(part({"content": "a"}) + "data: {oops\n\n" + part({"content": "b"}, "stop") + DONE)
    assert text_of(found) == "ab"
    assert not any(isinstance(item, Fault) for item in found)


@pytest.mark.parametrize(
    "broken",
    [
        "data: {oops\n\n",
        "data: 1\n\n",
        event({"choices": 5}),
        event({"choices": [{"delta": "x"}]}),
        event({"choices": [{"delta": {"content": 5}}]}),
    ],
)
def test_two_malformed_events_in_a_row_end_the_stream(broken: str) -> None:
    """What is broken twice is not trusted any more, whatever is wrong with it."""
    found = read(part({"content": "a"}) + broken * 2 + part({"content": "b"}, "stop") + DONE)
    assert text_of(found) == "a"
    assert last_fault(found).kind == "bad_response"
    assert "two malformed events" in last_fault(found).detail


@pytest.mark.parametrize("end", [DONE, ""])
def test_a_malformed_last_event_is_a_fault(end: str) -> None:
    """The last event may have been the finish or the usage, so it is not skipped in silence."""
    found = read(part({"content": "a"}, "stop") + "data: {oops\n\n" + end)
    assert last_fault(found).kind == "bad_response"


@pytest.mark.parametrize(
    ("wire", "kind", "says"),
    [
        ("", "interrupted", "before its first event"),
        (": ping\n\n", "bad_response", "not an event stream"),
        (DONE, "bad_response", "without any choice"),
        (event({"choices": [], "usage": USAGE}) + DONE, "bad_response", "without any choice"),
        (part({"content": "a"}), "interrupted", "before it was finished"),
        (part({"content": "a"}, "stop"), "interrupted", "before it was finished"),
        (part({"content": "a"}) + DONE, "interrupted", "without a finish reason"),
        (
            part({"content": "a"}, "stop") + part({"content": "b"}, None, 1) + DONE,
            "interrupted",
            "without a finish reason",
        ),
        (part({"content": "a"}, "error") + DONE, "interrupted", "with 'error'"),
        (part({"content": "a"}, "network_error") + DONE, "interrupted", "with 'network_error'"),
        ("<html><body>502</body></html>", "bad_response", "an HTML page"),
        ('\ufeff{"choices": ["a canary"]}', "bad_response", "not an event stream, but JSON"),
        ("data: " + "x" * 200 + "\n\n", "bad_response", "larger than the cap"),
    ],
)
def test_broken_streams_have_their_fault(wire: str, kind: str, says: str) -> None:
    """Each way to break off is told apart, and told in words."""
    found = last_fault(read(wire, max_event_bytes=150))
    assert found.kind == kind
    assert says in found.detail
    assert "canary" not in found.detail


@pytest.mark.parametrize(
    ("error", "kind", "retry"),
    [
        ({"message": "boom", "type": "server_error"}, "unavailable", "transient"),
        ({"message": "busy", "type": "overloaded_error"}, "unavailable", "transient"),
        ({"message": "slow", "code": 429}, "rate_limited", "rate_limit"),
        ({"message": "slow", "code": "rate_limit_exceeded"}, "rate_limited", "rate_limit"),
        ({"message": "none left", "code": 402}, "no_credit", "no"),
        ({"message": "x", "code": "insufficient_quota"}, "no_credit", "no"),
        ({"message": "long", "code": "context_length_exceeded"}, "context_length_exceeded", "no"),
        ({"message": "x", "type": "invalid_request_error"}, "invalid_request", "no"),
        ({"message": "x", "code": 401}, "unauthorized", "no"),
    ],
)
def test_an_error_inside_a_good_stream_is_final(
    error: dict[str, Any], kind: str, retry: str
) -> None:
    """The error's own code and type say what it means; nothing after it is read."""
    found = read(part({"content": "a"}) + event({"error": error}) + part({}, "stop") + DONE)
    assert text_of(found) == "a"
    fault = last_fault(found)
    assert (fault.kind, fault.retry, fault.status) == (kind, retry, None)


def test_an_error_event_by_name_is_final() -> None:
    """An event of type error is one, whatever its data looks like."""
    found = read(part({"content": "a"}) + 'event: error\ndata: {"why": "x"}\n\n')
    assert last_fault(found).kind == "unavailable"


def test_a_json_error_instead_of_a_stream_is_classified() -> None:
    """A provider that answers a stream request with plain JSON is understood."""
    found = read(json.dumps({"error": {"message": "no", "code": "invalid_api_key"}}))
    assert last_fault(found).kind == "unauthorized"


def test_an_empty_first_event_and_filters_are_no_answer_yet() -> None:
    """Azure's first event has results of its filter and no choice."""
    found = read(event({"choices": [], "prompt_filter_results": [{}]}) + GOOD)
    first = found[0]
    assert isinstance(first, Chunk)
    assert not first.has_content
    assert text_of(found) == "grüß 🚂"


def test_usage_in_groqs_place_is_found() -> None:
    """Groq reports a stream's usage under x_groq."""
    last = {
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "x_groq": {"usage": USAGE},
    }
    found = read(part({"content": "a"}) + event(last) + DONE)
    assert isinstance(found[-1], Chunk)
    assert found[-1].usage == Usage(input=3, output=2)


@pytest.mark.parametrize(
    ("delta", "said"),
    [
        ({"audio": {"id": "audio_1"}}, False),
        ({"audio": {"transcript": "Hi"}}, True),
        ({"audio": {"data": "UklGRg=="}}, True),
        ({"audio": {"expires_at": 1}}, False),
        ({"content": "", "images": [{"type": "image_url", "image_url": {"url": "x"}}]}, True),
        ({"function_call": {"name": "look", "arguments": ""}}, True),
    ],
)
def test_what_is_said_otherwise_than_in_words_is_content(
    delta: dict[str, Any], *, said: bool
) -> None:
    """It begins the answer and keeps it alive: nothing waits for a word that never comes."""
    first, *_ = read(part(delta) + part({}, "stop") + DONE)
    assert isinstance(first, Chunk)
    assert first.has_content is said

"""Parallel tool calls in streams that bring them mixed, unnumbered or with an unusual end."""

import json
from typing import Any

import pytest
from msgspec import structs

from tests.gateway.test_model_refusals import about_request
from tests.gateway.world import chat
from turnout.core import Chunk
from turnout.gateway.dialects import ApiDialect
from turnout.gateway.dialects.chat import Chat
from turnout.gateway.dialects.messages import Messages
from turnout.gateway.dialects.responses import Responses
from turnout.providers.openai_chat import OpenAIChatCodec

Call = dict[str, Any]


def call(index: int | None, arguments: str, ident: str | None = None, name: str = "f") -> Call:
    """A piece of a call; its name comes with its id."""
    named = {"id": ident, "type": "function"} if ident else {}
    function = {"name": name, "arguments": arguments} if ident else {"arguments": arguments}
    numbered = {} if index is None else {"index": index}
    return {**numbered, **named, "function": function}


def streamed_events(
    dialect: ApiDialect, *pieces: Call | list[Call] | str, finish: str = "tool_calls"
) -> list[dict[str, Any]]:
    """The events that the dialect makes of a stream of these pieces; a text is content."""
    decoder, writer = OpenAIChatCodec().decoder(), dialect.writer(about_request(dialect))
    told = b""
    deltas: list[dict[str, Any]] = [
        {"content": piece}
        if isinstance(piece, str)
        else {"tool_calls": piece if isinstance(piece, list) else [piece]}
        for piece in pieces
    ]
    for delta, end in [*((delta, None) for delta in deltas), ({}, finish)]:
        event = {"choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
        for chunk in decoder.feed(b"data: " + json.dumps(event).encode() + b"\n\n"):
            assert isinstance(chunk, Chunk)
            told += writer.write(chunk)
    told += writer.end()
    data = (line.removeprefix("data: ") for line in told.decode().splitlines())
    return [json.loads(line) for line in data if line.startswith("{")]


def blocks(events: list[dict[str, Any]]) -> list[tuple[Any, str]]:
    """Each block's id or kind and what its pieces add up to; they come one after the other."""
    found: list[tuple[Any, str]] = []
    begun: int | None = None
    for event in events:
        if event["type"] == "content_block_start":
            assert begun is None
            begun = event["index"]
            assert begun == len(found)
            block = event["content_block"]
            found.append((block.get("id") or block["type"], ""))
        elif event["type"] == "content_block_delta":
            assert event["index"] == begun
            delta = event["delta"]
            said = delta.get("partial_json", delta.get("text"))
            found[-1] = (found[-1][0], found[-1][1] + said)
        elif event["type"] == "content_block_stop":
            assert event["index"] == begun
            begun = None
    assert begun is None
    return found


MIXED = [
    call(0, "", "a"),
    call(1, "", "b"),
    call(0, '{"x"'),
    call(1, '{"y"'),
    [call(1, ":2}"), call(0, ":1}")],
    call(1, ""),
]
BOTH = [("a", '{"x":1}'), ("b", '{"y":2}')]


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        (MIXED, BOTH),
        ([call(0, '{"x":1}', "a"), call(1, '{"y"', "b"), call(1, ":2}")], BOTH),
        # One without arguments, then another: what comes next must not be lost.
        ([call(0, "", "a"), call(1, "{}", "b")], [("a", ""), ("b", "{}")]),
        (["So ", *MIXED, " done"], [("text", "So "), *BOTH, ("text", " done")]),
        (
            [call(1, "", "b"), call(0, "{", "a"), call(1, "{}"), call(2, "{}", "c"), call(0, "}")],
            [("b", "{}"), ("a", "{}"), ("c", "{}")],
        ),
    ],
)
def test_mixed_pieces_reach_messages_one_call_after_the_other(
    pieces: list[Any], told: list[tuple[str, str]]
) -> None:
    """It has one block open at a time; such a stream broke off there."""
    events = streamed_events(Messages(), *pieces)
    assert blocks(events) == told
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    assert events[-1]["type"] == "message_stop"


def test_a_call_is_told_as_it_comes() -> None:
    """What is whole makes way at once, so the last call does not wait for the stream's end."""
    decoder, writer = OpenAIChatCodec().decoder(), Messages().writer(about_request(Messages()))
    told = []
    for piece in (call(0, "{}", "a"), call(1, '{"y"', "b")):
        event = {"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]}
        (chunk,) = decoder.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
        assert isinstance(chunk, Chunk)
        told.append(writer.write(chunk).decode())
    assert '"id":"b"' in told[-1]
    assert '{\\"y\\"' in told[-1]


def test_a_call_that_goes_on_after_its_end_is_no_clean_end() -> None:
    """Its block is closed; what is lost is told."""
    events = streamed_events(Messages(), call(0, "{", "a"), "text", call(0, "}"))
    assert events[-1]["type"] == "error"
    assert "continued a tool call after its end" in events[-1]["error"]["message"]


@pytest.mark.parametrize("index", [None, 0])
@pytest.mark.parametrize("dialect", [Chat(), Messages(), Responses()], ids=lambda d: d.name)
def test_calls_without_a_number_of_their_own_stay_apart(
    dialect: ApiDialect, index: int | None
) -> None:
    """Some providers number none, or all alike: the second was lost in the first."""
    pieces = [call(index, "{", "a"), call(index, "}"), call(index, "{}", "b", "g")]
    events = streamed_events(dialect, *pieces)
    if isinstance(dialect, Messages):
        assert blocks(events) == [("a", "{}"), ("b", "{}")]
    elif isinstance(dialect, Responses):
        calls = events[-1]["response"]["output"]
        assert [(c["call_id"], c["name"], c["arguments"]) for c in calls] == [
            ("a", "f", "{}"),
            ("b", "g", "{}"),
        ]
    else:
        deltas = [choice["delta"] for event in events for choice in event["choices"]]
        assert [c["index"] for d in deltas for c in d.get("tool_calls", ())] == [0, 0, 1]


def test_numbers_that_are_fit_stay() -> None:
    """In any order, and where an id comes with each piece, or changes without a name."""
    pieces = [call(1, "{", "b"), call(0, "{}", "a"), call(1, "", "b"), {**call(1, "}"), "id": "z"}]
    events = streamed_events(Chat(), *pieces)
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    assert [c["index"] for d in deltas for c in d.get("tool_calls", ())] == [1, 0, 1, 1]


def test_calls_are_the_reason_where_a_server_names_none() -> None:
    """Local servers end them as any text, and callers of Messages go by the reason."""
    assert streamed_events(Messages(), call(0, "{}", "a"), finish="stop")[-2]["delta"] == {
        "stop_reason": "tool_use",
        "stop_sequence": None,
    }
    message = {"role": "assistant", "content": None, "tool_calls": [call(0, "{}", "a")]}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    chunk = OpenAIChatCodec().decode(json.dumps(answer).encode())
    assert isinstance(chunk, Chunk)
    told = json.loads(Messages().whole(chunk, about_request(Messages())))
    assert told["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ({"stop_reason": "END"}, ("stop_sequence", "END")),
        ({"matched_stop": "END"}, ("stop_sequence", "END")),
        ({"stop_reason": "other"}, ("end_turn", None)),
        ({"matched_stop": 128009}, ("end_turn", None)),
        ({}, ("end_turn", None)),
    ],
)
def test_the_stop_that_a_server_names_is_the_reason(
    end: dict[str, Any], told: tuple[str, str | None]
) -> None:
    """As vLLM and SGLang tell it, where it is one that the caller gave; whole and streamed."""
    asked = Messages().read({**chat(), "max_tokens": 9, "stop_sequences": ["END"]})
    known = structs.replace(about_request(Messages()), inbound=asked)
    choice = {"index": 0, "finish_reason": "stop", **end}
    answer = {"choices": [{**choice, "message": {"role": "assistant", "content": "One"}}]}
    chunk = OpenAIChatCodec().decode(json.dumps(answer).encode())
    assert isinstance(chunk, Chunk)
    whole = json.loads(Messages().whole(chunk, known))
    assert (whole["stop_reason"], whole["stop_sequence"]) == told
    writer = Messages().writer(known)
    event = {"choices": [{**choice, "delta": {"content": "One"}}]}
    (piece,) = OpenAIChatCodec().decoder().feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    assert isinstance(piece, Chunk)
    sent = (writer.write(piece) + writer.end()).decode()
    data = [json.loads(line[6:]) for line in sent.splitlines() if line.startswith("data: {")]
    assert data[-2]["delta"] == {"stop_reason": told[0], "stop_sequence": told[1]}

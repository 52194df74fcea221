"""Tool calls in forms that only some providers use reach the callers of every dialect whole."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from tests.gateway.test_model_refusals import about_request
from tests.gateway.test_parallel_calls import call
from turnout.core import Chunk, Fault
from turnout.gateway.dialects import ApiDialect, Chat, Messages, Responses
from turnout.providers.anthropic import AnthropicCodec
from turnout.providers.openai_chat import OpenAIChatCodec
from turnout.providers.protocol import Codec
from turnout.providers.responses import ResponsesCodec

Event = Mapping[str, Any]
DIALECTS = [Chat(), Messages(), Responses()]
USAGE = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}


def streamed(dialect: ApiDialect, codec: Codec, events: Iterable[Event]) -> list[dict[str, Any]]:
    """The events for the caller, from those of a provider."""
    decoder, writer = codec.decoder(), dialect.writer(about_request(dialect))
    found = b""
    for event in events:
        for chunk in decoder.feed(b"data: " + json.dumps(event).encode() + b"\n\n"):
            assert isinstance(chunk, Chunk)
            found += writer.write(chunk)
    found += writer.end()
    lines = (line.removeprefix("data: ") for line in found.decode().splitlines())
    return [json.loads(line) for line in lines if line.startswith("{")]


def calls_in(dialect: ApiDialect, events: list[dict[str, Any]]) -> list[list[Any]]:
    """Each call's id, name and arguments as text, as the clients put them together."""
    found: dict[int, list[Any]] = {}
    if isinstance(dialect, Responses):
        items = events[-1]["response"]["output"]
        calls = [item for item in items if item["type"] == "function_call"]
        return [[one["call_id"], one["name"], one["arguments"]] for one in calls]
    if isinstance(dialect, Messages):
        for event in events:
            block = event.get("content_block", {})
            if block.get("type") == "tool_use":
                found[event["index"]] = [block["id"], block["name"], ""]
            elif event["type"] == "content_block_delta" and event["index"] in found:
                found[event["index"]][2] += event["delta"]["partial_json"]
        return list(found.values())
    for event in events:
        for choice in event["choices"][:1]:  # many clients read no other
            for piece in choice["delta"].get("tool_calls", ()):
                made = found.setdefault(piece["index"], [piece.get("id"), "", ""])
                made[1] += piece["function"].get("name") or ""
                made[2] += piece["function"]["arguments"]
    return list(found.values())


def anthropic_events(start: Event, *pieces: str) -> list[dict[str, Any]]:
    """A stream with one call, whose block begins with ``start``."""
    block = {"type": "tool_use", "id": "t1", "name": "f", "input": start}
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return [
        {"type": "message_start", "message": {"model": "m", "usage": USAGE}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": USAGE},
        {"type": "message_stop"},
    ]


@pytest.mark.parametrize(
    ("start", "pieces", "arguments"),
    [
        ({}, (), "{}"),
        ({}, ("",), "{}"),
        ({}, ("", '{"x"', ":1}"), '{"x":1}'),
        ({"x": 1}, (), '{"x":1}'),
        ({"x": 0}, ('{"x":1}',), '{"x":1}'),
    ],
)
@pytest.mark.parametrize("dialect", [Chat(), Responses()], ids=lambda d: d.name)
def test_arguments_that_anthropic_does_not_stream_are_told(
    dialect: ApiDialect, start: Event, pieces: tuple[str, ...], arguments: str
) -> None:
    """A Claude streams nothing for a call without arguments, and an empty text is no JSON."""
    events = streamed(dialect, AnthropicCodec(), anthropic_events(start, *pieces))
    assert calls_in(dialect, events) == [["t1", "f", arguments]]


def test_a_call_without_arguments_has_an_object_in_responses() -> None:
    """Its clients read the arguments as JSON."""
    pieces = {"choices": [{"index": 0, "delta": {"tool_calls": [call(0, "", "a")]}}]}
    events = streamed(Responses(), OpenAIChatCodec(), [pieces, END])
    assert calls_in(Responses(), events) == [["a", "f", "{}"]]


def without_id(arguments: str, index: int | None) -> dict[str, Any]:
    """A call whose id is empty."""
    numbered = {} if index is None else {"index": index}
    return {**numbered, "id": "", "function": {"name": "f", "arguments": arguments}}


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("index", [None, 0])
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
def test_calls_without_ids_stay_apart(
    dialect: ApiDialect, index: int | None, *, together: bool
) -> None:
    """A second call whose id is empty, too, was appended to the first."""
    calls = [without_id(f'{{"x":{x}}}', index) for x in (1, 2)]
    deltas = [calls] if together else [[one] for one in calls]
    pieces = [{"choices": [{"index": 0, "delta": {"tool_calls": delta}}]} for delta in deltas]
    found = calls_in(dialect, streamed(dialect, OpenAIChatCodec(), [*pieces, END]))
    assert [one[1:] for one in found] == [["f", '{"x":1}'], ["f", '{"x":2}']]
    if not isinstance(dialect, Chat):
        assert len({one[0] for one in found if one[0]}) == 2


def test_a_call_without_an_id_may_repeat_its_name() -> None:
    """Until its arguments are complete, what follows is a part of it."""
    calls = [without_id(piece, 0) for piece in ('{"x"', ":1", "}", '{"x":2}')]
    pieces = [{"choices": [{"index": 0, "delta": {"tool_calls": [one]}}]} for one in calls]
    found = calls_in(Responses(), streamed(Responses(), OpenAIChatCodec(), [*pieces, END]))
    assert [one[2] for one in found] == ['{"x":1}', '{"x":2}']


@pytest.mark.parametrize("ids", [("a", "b"), ("", ""), (None, None)])
@pytest.mark.parametrize("dialect", [Messages(), Responses()], ids=lambda d: d.name)
def test_calls_of_a_whole_answer_stay_apart(
    dialect: ApiDialect, ids: tuple[str | None, ...]
) -> None:
    """Also if all have the same number, or none has an id.

    An id that the gateway makes is of this answer alone: Anthropic refuses one that comes twice in
    a conversation.
    """
    calls = [{**without_id(f'{{"x":{x}}}', 0), "id": i} for x, i in enumerate(ids)]
    choice = {"index": 0, "message": {"tool_calls": calls}, "finish_reason": "tool_calls"}
    chunk = OpenAIChatCodec().decode(json.dumps({"choices": [choice]}).encode())
    assert isinstance(chunk, Chunk)
    about = about_request(dialect)
    body = json.loads(dialect.whole(chunk, about))
    if isinstance(dialect, Messages):
        found = [(one["id"], one["input"]) for one in body["content"]]
    else:
        found = [(one["call_id"], json.loads(one["arguments"])) for one in body["output"]]
    assert [one[1] for one in found] == [{"x": 0}, {"x": 1}]
    answer = about.decision.id.removeprefix("d_")
    made = (f"call_{answer}00", f"call_{answer}01")
    assert tuple(one[0] for one in found) == (ids if ids[0] else made)


CALL = {"type": "function_call", "id": "i", "call_id": "c1", "name": "f", "arguments": '{"x":1}'}
SAID = {
    "type": "message",
    "id": "m",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Well."}],
}


def completed(*output: Event) -> dict[str, Any]:
    """The event that ends a stream of Responses."""
    response = {"id": "r", "status": "completed", "output": output, "usage": USAGE}
    return {"type": "response.completed", "response": response}


@pytest.mark.parametrize(
    "events",
    [
        [],
        [{"type": "response.output_item.added", "output_index": 1, "item": CALL}],
        [{"type": "response.output_item.done", "output_index": 1, "item": CALL}],
    ],
)
def test_what_comes_only_at_the_end_of_a_stream_is_told_once(events: list[Event]) -> None:
    """Also to clients of chat that read one choice of an event, as OpenAI's own demands."""
    found = streamed(Chat(), ResponsesCodec(), [*events, completed(SAID, CALL)])
    assert calls_in(Chat(), found) == [["c1", "f", '{"x":1}']]
    choices = [event["choices"] for event in found]
    assert {len(one) for one in choices} == {1}
    assert "".join(one[0]["delta"].get("content", "") for one in choices) == "Well."
    assert choices[-1][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("calls", [{"index": 0, "function": {"name": "f"}}, "f"])
def test_calls_that_are_no_list_are_a_fault(calls: Any) -> None:
    """They were left out, and the answer seemed complete."""
    choice = {"index": 0, "message": {"tool_calls": calls}, "finish_reason": "tool_calls"}
    found = OpenAIChatCodec().decode(json.dumps({"choices": [choice]}).encode())
    assert isinstance(found, Fault)
    assert "tool_calls" in found.detail

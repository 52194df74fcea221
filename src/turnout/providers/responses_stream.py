"""Reads the events of a streamed Responses answer as chunks.

Invariant: a stream is complete only at ``response.completed`` or ``response.incomplete`` with that
status; any other end is a fault, and nothing follows a fault. Text that comes only in a finished
item, and not in pieces, is read from the item.
Source: platform.openai.com/docs/api-reference/responses-streaming.
This module does not know requests or transports.
"""

from collections.abc import Iterator
from typing import Any, Unpack

from turnout.core import Chunk, Delta, Fault, ToolCallDelta
from turnout.core.hosted import is_hosted
from turnout.providers.answer_body import bad_answer, interrupted
from turnout.providers.errors import ErrorText, error_in
from turnout.providers.fields import an_index, an_object, any_text
from turnout.providers.responses_answer import (
    CALLS,
    call_of,
    finish_of,
    marked_response,
    output_of,
    paragraph,
    sources_of,
    text_of,
)
from turnout.providers.responses_thoughts import BETWEEN, marked_item, signature_of, thought_of
from turnout.providers.sse import Event
from turnout.providers.stream_decoder import Options, StreamDecoder
from turnout.providers.usage import responses_usage

_BEGINS = frozenset({"response.created", "response.queued", "response.in_progress"})
_ENDS = frozenset({"response.completed", "response.incomplete"})
_FAILED = "response.failed"
_THOUGHTS = frozenset({"response.reasoning_summary_text.delta", "response.reasoning_text.delta"})
_ARGUMENTS = frozenset(
    {"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"}
)
_ADDED = "response.output_item.added"
_OF_ITEMS = frozenset({_ADDED, "response.output_item.done"})

Payload = dict[str, Any]


class ResponsesStreamDecoder(StreamDecoder):
    """Decodes one stream; puts ``mark`` on its thoughts."""

    def __init__(self, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self._items: set[int] = set()
        self._closed: set[int] = set()  # items that are finished
        self._calls: dict[int, int] = {}  # an item's index: the call's number
        self._thought: dict[int, int] = {}  # an item's index: the length of its thought
        self._in_pieces: set[int] = set()  # items of which pieces came
        self._hosted: dict[int, str] = {}  # an item's index: the type of its hosted tool
        self._text_length = 0
        self._speaking: int | None = None  # the message whose text came last
        self._start = 0  # where it begins in the whole text

    def _error(self, payload: Any, event: Event) -> ErrorText | None:
        an_object(payload, "an event")
        # Some servers name the event only in the SSE field.
        kind = payload["type"] = any_text(payload.get("type")) or event.type
        if kind == _FAILED:
            failed = an_object(payload["response"])
            return error_in(failed) or ErrorText(message="the response failed")
        if kind == "error" or payload.get("error"):
            return error_in(payload) or ErrorText(message=event.data)
        return None

    def _chunk(self, payload: Payload) -> Chunk | Fault | None:
        if payload.get("output_index") is not None:
            an_index(payload["output_index"])
        kind = payload["type"]
        if not kind.startswith("response."):
            return None
        if kind in _BEGINS:
            return self._with_response(payload)
        if kind in _ENDS:
            return self._ending(payload)
        return Chunk(deltas=tuple(self._deltas(kind, payload)), raw=payload)

    def _with_response(self, payload: Payload, *deltas: Delta) -> Chunk:
        response = an_object(payload["response"])
        return Chunk(
            deltas=deltas,
            usage=responses_usage(response.get("usage")),
            model=any_text(response.get("model")) or None,
            raw={**payload, "response": marked_response(response, self._mark)},
        )

    def _ending(self, payload: Payload) -> Chunk | Fault:
        response = an_object(payload["response"])
        finish = finish_of(response, calls=bool(self._calls))
        if finish is None:
            return self._fail(interrupted("the stream ended before the response was finished"))
        if finish == "stop" and not self._items and not output_of(response):
            return self._fail(bad_answer("the stream ended without any output"))
        # Some servers send their items, or what is in them, only at the end.
        late = [
            delta
            for index, item in enumerate(response.get("output") or ())
            if index not in self._closed
            for delta in self._finished(index, item)
        ]
        finish = finish_of(response, calls=bool(self._calls))
        self._done = True
        return self._with_response(payload, *late, Delta(finish_reason=finish))

    def _deltas(self, kind: str, payload: Payload) -> Iterator[Delta]:
        if kind in _OF_ITEMS:
            index, item = an_index(payload["output_index"]), an_object(payload["item"])
            payload["item"] = marked_item(item, self._mark)
            yield from (self._added if kind == _ADDED else self._finished)(index, item)
        elif kind in _ARGUMENTS:
            yield self._argued(payload)
        elif kind in _THOUGHTS:
            yield self._thinks(an_index(payload["output_index"]), self._piece(payload))
        elif kind == "response.reasoning_summary_part.added" and payload.get("summary_index"):
            yield self._thinks(an_index(payload["output_index"]), BETWEEN)
        elif kind == "response.output_text.delta":
            yield self._text(self._piece(payload), payload["output_index"])
        elif kind == "response.refusal.delta":
            yield Delta(refusal=self._piece(payload))
        elif hosted := self._hosted.get(payload.get("output_index", -1)):
            yield Delta(hosted=hosted)  # a sign that the tool is at work

    def _argued(self, payload: Payload) -> Delta:
        piece, place = self._piece(payload), self._calls[an_index(payload["output_index"])]
        return Delta(tool_calls=(ToolCallDelta(index=place, arguments=piece),))

    def _piece(self, payload: Payload) -> str:
        self._in_pieces.add(an_index(payload["output_index"]))
        return any_text(payload["delta"])

    def _text(self, text: str, index: int) -> Delta:
        if index != self._speaking:
            said, text = text, paragraph(text, self._text_length)
            self._speaking, self._start = index, self._text_length + len(text) - len(said)
        self._text_length += len(text)
        return Delta(text=text)

    def _thinks(self, index: int, thought: str) -> Delta:
        self._thought[index] = self._thought.get(index, 0) + len(thought)
        return Delta(reasoning=thought)

    def _added(self, index: int, item: Payload) -> list[Delta]:
        self._items.add(index)
        kind = str(item.get("type"))
        if is_hosted(kind):
            self._hosted[index] = kind
            return [Delta(hosted=kind)]
        if kind not in CALLS:
            return []
        place = self._calls.setdefault(index, len(self._calls))
        call = ToolCallDelta(index=place, id=any_text(item["call_id"]), name=any_text(item["name"]))
        return [Delta(tool_calls=(call,))]

    def _finished(self, index: int, item: Payload) -> list[Delta]:
        self._closed.add(index)
        found = [] if index in self._items else self._added(index, item)
        kind, unread = item.get("type"), index not in self._in_pieces
        if kind == "message" and unread:
            found += [self._text(text_of(item), index), Delta(refusal=text_of(item, "refusal"))]
        if kind == "message" and index == self._speaking:
            sources = tuple(sources_of(item, self._start))
            found += [Delta(sources=sources)] if sources else []
        elif kind in CALLS and unread:
            place = self._calls[index]
            whole = ToolCallDelta(index=place, arguments=call_of(item, place).arguments)
            found.append(Delta(tool_calls=(whole,)))
        elif kind == "reasoning":
            if unread and (thought := thought_of(item)):
                found.append(self._thinks(index, thought))
            length = self._thought.get(index, 0)
            signature = signature_of(item, self._mark, length, self._text_length)
            found += [Delta(signature=signature)] if signature else []
        return found

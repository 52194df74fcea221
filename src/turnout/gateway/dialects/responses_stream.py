"""Writes a streamed answer as the events of OpenAI's Responses.

Events of a provider that speaks Responses pass in their order; only their numbers change.
Invariant: every item and part that is added gets its done event, unless an error comes first; the
stream ends with ``response.completed``, ``response.incomplete`` or, after an ``error``,
``response.failed``.
Source: platform.openai.com/docs/api-reference/responses-streaming.
This module does not know connections.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from turnout.core import Chunk, Delta, ToolCallDelta, Usage
from turnout.gateway.dialects import responses_items as items
from turnout.gateway.dialects import sse
from turnout.gateway.dialects.chat import error_object, first_choice
from turnout.gateway.dialects.protocol import About
from turnout.gateway.dialects.responses_custom import input_of
from turnout.gateway.dialects.responses_tools import Offered, offered, search_of
from turnout.gateway.problem import Problem

_ADDED = "response.output_item.added"
_OF_ITEMS = frozenset({_ADDED, "response.output_item.done"})
_TEXTS = (
    "response.output_text.delta",
    "response.reasoning_summary_text.delta",
    "response.function_call_arguments.delta",
    "response.custom_tool_call_input.delta",
)
_ENDS = frozenset({"response.completed", "response.incomplete"})
_NUMBERED = frozenset({"type", "sequence_number"})
# The part of an item that an event is about, unless it names another.
_FIRST = {"message": {"content_index": 0}, "reasoning": {"summary_index": 0}}


@dataclass(slots=True, kw_only=True)
class _Open:
    """An output item of the answer so far.

    ``text`` is that of a message or a thought, or the arguments of a call; None while there is
    none, as in a message that only holds a refusal. ``done``: its done event was sent.
    """

    place: int
    item: items.Item
    text: str | None = None
    refusal: str = ""
    logprobs: list[Any] = field(default_factory=list)
    sources: list[items.Item] = field(default_factory=list)
    done: bool = False


class ResponsesWriter:
    """Writes one response. After ``end``, ``snapshot`` returns the whole response."""

    def __init__(self, about: About) -> None:
        self._about = about
        self._model = about.model
        self._sequence = 0
        self._items: dict[tuple[str, int], _Open] = {}
        self._growing: _Open | None = None  # a thought or a message; the next item ends it
        self._usage: Usage | None = None
        self._finish: str | None = None
        self._started = False
        self._native = False
        self._head: dict[str, Any] = {}
        self._last: tuple[str, dict[str, Any]] | None = None  # the provider's last event

    @cached_property
    def _tools(self) -> dict[str, Offered]:
        # Read at the first call: most answers have none.
        return offered(self._about.inbound.native)

    def write(self, chunk: Chunk) -> bytes:
        """The events for a chunk. Only its first choice is written: a response has no others."""
        self._usage = chunk.usage or self._usage
        self._model = chunk.model or self._model
        if items.is_native(chunk.raw):
            return self._pass_on(dict(chunk.raw))
        self._native = False
        events = [] if self._started else self._start()
        for delta in chunk.deltas:
            if delta.choice == 0:
                events += self._delta(delta, items.logprobs_in(first_choice(chunk.raw)))
        return b"".join(events)

    def sign(self) -> bytes:
        """A comment."""
        return sse.COMMENT

    def end(self, usage: Usage | None = None) -> bytes:
        """The events that end every item and the response."""
        if self._native:
            return b"" if self._last is None else self._event(self._last[0], **self._last[1])
        self._usage = self._usage or usage
        status, _ = items.ended(self._finish)
        events: list[bytes] = []
        opened = [one for one in self._items.values() if not one.done]
        for one in opened:
            events += self._done(one, status if one is opened[-1] else "completed")
        response = self.snapshot()
        return b"".join([*events, self._event(f"response.{response['status']}", response=response)])

    def fail(self, problem: Problem) -> bytes:
        """An ``error`` event, then ``response.failed``.

        The ``error`` event has the error's fields both at the top, as documented, and in ``error``,
        where clients read them.
        """
        error = error_object(problem)
        fields = {k: error[k] for k in ("code", "message", "param")}
        event = self._event("error", **fields, error={"type": error["type"], **fields})
        failure = {"code": "server_error", "message": problem.message}
        response = {**self._object("failed"), "error": failure, "attempts": error["attempts"]}
        return event + self._event("response.failed", response=response)

    def snapshot(self) -> dict[str, Any]:
        """The finished response."""
        status, details = items.ended(self._finish)
        return {**self._object(status), "incomplete_details": details}

    def _object(self, status: str) -> dict[str, Any]:
        output = [opened.item for opened in self._items.values()]
        usage = None if status == "in_progress" else self._usage
        found = items.response_object(self._about, self._model, status, output, usage)
        return {**found, **self._head}

    def _pass_on(self, raw: dict[str, Any]) -> bytes:
        """Passes a provider's event on. Its items are kept for ``response.failed``."""
        self._native = self._started = True
        kind, place = str(raw["type"]), raw.get("output_index")
        index = place if isinstance(place, int) else len(self._items)
        if isinstance(raw.get("response"), Mapping):
            raw["response"] = items.passed(raw["response"], self._about, self._model)
            kept = raw["response"]
            self._head = {name: kept[name] for name in ("id", "created_at") if name in kept}
        elif kind in _OF_ITEMS and isinstance(raw.get("item"), Mapping):
            done = kind != _ADDED
            item = {"id": None, "type": None, **raw["item"]}
            self._items["native", index] = _Open(place=index, item=item, done=done)
        elif kind in _TEXTS and ("native", index) in self._items:
            opened = self._items["native", index]
            opened.text = (opened.text or "") + str(raw.get("delta"))
        fields = {k: v for k, v in raw.items() if k not in _NUMBERED}
        if kind in _ENDS:
            self._last = kind, fields
            return b""
        return self._event(kind, **fields)

    def _event(self, kind: str, /, **fields: Any) -> bytes:
        body = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return sse.event(kind, body)

    def _start(self) -> list[bytes]:
        self._started = True
        response = self._object("in_progress")
        begins = ("response.created", "response.in_progress")
        return [self._event(kind, response=response) for kind in begins]

    def _delta(self, delta: Delta, logprobs: list[Any]) -> list[bytes]:
        self._finish = delta.finish_reason or self._finish
        events: list[bytes] = []
        if delta.reasoning:
            events += self._grow("reasoning", delta.reasoning)
        if delta.signature:
            events += self._sign(delta.signature)
        if delta.text:
            events += self._grow("message", delta.text, logprobs)
        if delta.refusal:
            events += self._refuse(delta.refusal)
        if delta.sources:
            events += self._cite([{"type": "url_citation", **page} for page in delta.sources])
        for call in delta.tool_calls:
            events += self._call(call)
        return events

    def _cite(self, sources: Sequence[items.Item]) -> list[bytes]:
        """Adds annotations to the current message; they come with its text or after it."""
        opened = self._growing
        if opened is None or opened.item["type"] != "message" or opened.text is None:
            return []
        kind, count = "response.output_text.annotation.added", len(opened.sources)
        opened.sources += sources
        return [
            self._piece(kind, opened, annotation=source, annotation_index=place)
            for place, source in enumerate(sources, count)
        ]

    def _sign(self, signature: str) -> list[bytes]:
        """Adds a signature to the thought, in the field that Responses has for it."""
        events, opened = self._opened("reasoning")
        opened.item["encrypted_content"] = opened.item.get("encrypted_content", "") + signature
        return events

    def _refuse(self, why: str) -> list[bytes]:
        """Adds to the message's last part, which says why the model declines to go on."""
        events, opened = self._opened("message")
        if not opened.refusal:
            part = items.refusal_part("")
            events.append(self._refusal("response.content_part.added", opened, part=part))
        opened.refusal += why
        return [*events, self._refusal("response.refusal.delta", opened, delta=why)]

    def _opened(self, kind: str) -> tuple[list[bytes], _Open]:
        """The current item of this kind, and the events that add it if it is new."""
        if self._growing is not None and self._growing.item["type"] == kind:
            return [], self._growing
        before, place = self._grown(), len(self._items)
        if kind == "message":
            item = items.message_item(self._about, place, "in_progress")
        else:
            item = items.reasoning_item(self._about, place)
        found = self._growing = self._items[kind, place] = _Open(place=place, item=item)
        return [*before, self._added(found)], found

    def _grown(self) -> list[bytes]:
        """The events that end the current item, because another one follows."""
        ended, self._growing = self._growing, None
        return [] if ended is None else self._done(ended, "completed")

    def _grow(self, kind: str, text: str, logprobs: Sequence[Any] = ()) -> list[bytes]:
        events, opened = self._opened(kind)
        if opened.text is None:
            opened.text = ""
            events.append(self._part(opened, "added", ""))
        opened.text += text
        opened.logprobs += logprobs
        more = {"logprobs": [*logprobs]} if kind == "message" else {}
        name = "output_text" if kind == "message" else "reasoning_summary_text"
        return [*events, self._piece(f"response.{name}.delta", opened, delta=text, **more)]

    def _call(self, call: ToolCallDelta) -> list[bytes]:
        events = []
        opened = self._items.get(("call", call.index))
        if opened is None:
            place = len(self._items)
            tool, ident = self._tools.get(call.name or ""), self._about.call_id(call)
            item = items.call_item(self._about, place, tool, ident, call.name or "")
            opened = self._items["call", call.index] = _Open(place=place, item=item)
            events = [*self._grown(), self._added(opened)]
        opened.text = (opened.text or "") + call.arguments
        # The input of other tools is sent once their arguments are complete.
        if call.arguments and opened.item["type"] == "function_call":
            kind = "response.function_call_arguments.delta"
            events.append(self._piece(kind, opened, delta=call.arguments))
        return events

    def _added(self, opened: _Open) -> bytes:
        item = dict(opened.item)
        return self._event(_ADDED, output_index=opened.place, item=item)

    def _part(self, opened: _Open, what: str, text: str) -> bytes:
        if opened.item["type"] == "message":
            name, part = "content_part", items.text_part(text, opened.logprobs, opened.sources)
        else:
            name, part = "reasoning_summary_part", {"type": "summary_text", "text": text}
        return self._piece(f"response.{name}.{what}", opened, part=part)

    def _refusal(self, event: str, opened: _Open, **fields: Any) -> bytes:
        place = 0 if opened.text is None else 1  # after the text
        return self._piece(event, opened, content_index=place, **fields)

    def _piece(self, event: str, opened: _Open, **fields: Any) -> bytes:
        fields = {**_FIRST.get(opened.item["type"], {}), **fields}
        return self._event(event, item_id=opened.item["id"], output_index=opened.place, **fields)

    def _done(self, opened: _Open, status: str) -> list[bytes]:
        item, opened.done = opened.item, True
        if item["type"] == "message":
            events = self._done_message(opened, status)
        elif item["type"] == "reasoning":
            events = self._done_reasoning(opened)
        else:
            events = self._done_call(opened, status)
        done = self._event("response.output_item.done", output_index=opened.place, item=dict(item))
        return [*events, done]

    def _done_message(self, opened: _Open, status: str) -> list[bytes]:
        item, events = opened.item, []
        item["status"] = status
        if opened.text is not None:
            item["content"] = [items.text_part(opened.text, opened.logprobs, opened.sources)]
            more = {"text": opened.text, "logprobs": opened.logprobs}
            events = [
                self._piece("response.output_text.done", opened, **more),
                self._part(opened, "done", opened.text),
            ]
        if opened.refusal:
            why, part = opened.refusal, items.refusal_part(opened.refusal)
            item["content"].append(part)
            events += [
                self._refusal("response.refusal.done", opened, refusal=why),
                self._refusal("response.content_part.done", opened, part=part),
            ]
        return events

    def _done_reasoning(self, opened: _Open) -> list[bytes]:
        if opened.text is None:
            return []
        opened.item["summary"] = [{"type": "summary_text", "text": opened.text}]
        kind = "response.reasoning_summary_text.done"
        return [
            self._piece(kind, opened, text=opened.text),
            self._part(opened, "done", opened.text),
        ]

    def _done_call(self, opened: _Open, status: str) -> list[bytes]:
        # The arguments of a call without any are an object, too.
        item, text = opened.item, opened.text or "{}"
        if item["type"] == "custom_tool_call":
            item["input"], item["status"] = input_of(opened.text or ""), status
            kind = "response.custom_tool_call_input"
            return [
                self._piece(f"{kind}.delta", opened, delta=item["input"]),
                self._piece(f"{kind}.done", opened, input=item["input"]),
            ]
        if item["type"] == "tool_search_call":
            item["arguments"], item["status"] = search_of(text), status
        elif item["type"] == "function_call":
            item["arguments"], item["status"] = text, status
            kind = "response.function_call_arguments.done"
            return [self._piece(kind, opened, arguments=text, name=item.get("name"))]
        return []  # a hosted tool's call: only its provider knows the status

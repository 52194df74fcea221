"""Writes a streamed answer as Anthropic's events, with one content block open at a time.

Invariant: every block that starts also stops, unless an error comes first; the stream ends with
``message_stop`` or with ``error``.
Source: platform.claude.com/docs/en/build-with-claude/streaming.
This module does not know connections.
"""

from collections.abc import Mapping
from typing import Any

from turnout.core import Chunk, Delta, ToolCallDelta, Usage
from turnout.gateway.dialects import responses_items, sse
from turnout.gateway.dialects.calls_in_turn import CallsInTurn, OutOfTurn
from turnout.gateway.dialects.messages_words import (
    ending,
    error_body,
    message_body,
    shows_thoughts,
    stop_in,
    usage_body,
)
from turnout.gateway.dialects.protocol import About
from turnout.gateway.dialects.tool_names import full_names
from turnout.gateway.problem import Problem, broken_off

_THOUGHT = {"type": "thinking", "thinking": "", "signature": ""}


class MessagesWriter:
    """Writes one message. Events of a provider that speaks Messages pass as they are."""

    def __init__(self, about: About) -> None:
        self._about = about
        self._names = full_names(about.inbound.native)
        self._thoughts = shows_thoughts(about.inbound.native)
        self._native = False
        self._started = False
        self._open: tuple[str, int] | None = None
        self._blocks = 0
        self._calls = CallsInTurn()
        self._called = self._scattered = False
        self._finish: str | None = None
        self._stop: str | None = None
        self._refusal = ""
        self._usage: Usage | None = None

    def write(self, chunk: Chunk) -> bytes:
        """The events for a chunk. Only its first choice is written: a message has no others."""
        if _is_native(chunk.raw):
            return self._pass_on(chunk)
        self._native = False
        self._usage = chunk.usage or self._usage
        self._stop = stop_in(chunk.raw, self._about.inbound.native) or self._stop
        events = [] if self._started else [self._start(chunk)]
        for delta in chunk.deltas:
            if delta.choice == 0:
                events += self._delta(delta)
        return b"".join(events)

    def sign(self) -> bytes:
        """A ``ping``, which may come at any point of a stream."""
        return sse.event("ping", {"type": "ping"})

    def end(self, usage: Usage | None = None) -> bytes:
        """``message_delta`` with the stop reason and the usage, then ``message_stop``."""
        if self._native:
            return b""
        if self._scattered:
            return self.fail(broken_off("the provider continued a tool call after its end"))
        waiting = self._rest()
        reason = ending(self._finish, self._refusal, called=self._called, stop=self._stop)
        used = usage_body(self._usage or usage)
        delta = {"type": "message_delta", "delta": reason, "usage": used}
        stop = sse.event("message_stop", {"type": "message_stop"})
        return b"".join([*waiting, *self._close(), sse.event("message_delta", delta), stop])

    def fail(self, problem: Problem) -> bytes:
        """An ``error`` event."""
        return sse.event("error", error_body(problem))

    def _pass_on(self, chunk: Chunk) -> bytes:
        self._native = self._started = True
        kind, raw = str(chunk.raw["type"]), dict(chunk.raw)
        if kind == "message_start":
            raw["message"] = {**raw["message"], "model": chunk.model or self._about.model}
        elif kind == "content_block_start":
            index = raw.get("index")
            self._open = ("native", 0)
            self._blocks = index if isinstance(index, int) else self._blocks
        elif kind == "content_block_stop" and self._open is not None:
            self._open, self._blocks = None, self._blocks + 1
        return sse.event(kind, raw)

    def _start(self, chunk: Chunk) -> bytes:
        self._started = True
        message = message_body(self._about, chunk, [], {"stop_reason": None, "stop_sequence": None})
        return sse.event("message_start", {"type": "message_start", "message": message})

    def _delta(self, delta: Delta) -> list[bytes]:
        self._finish = delta.finish_reason or self._finish
        self._refusal += delta.refusal
        events: list[bytes] = []
        if delta.reasoning and self._thoughts:
            events += self._in_block("thinking", 0, _THOUGHT)
            events.append(self._piece({"type": "thinking_delta", "thinking": delta.reasoning}))
        if delta.signature and self._thoughts:
            events += self._in_block("thinking", 0, _THOUGHT)
            events.append(self._piece({"type": "signature_delta", "signature": delta.signature}))
            # A block has one signature: the next thought begins another block.
            events += self._close()
        if delta.text:
            events += self._in_block("text", 0, {"type": "text", "text": ""})
            events.append(self._piece({"type": "text_delta", "text": delta.text}))
        for call in delta.tool_calls:
            events += self._tool(call)
        return events

    def _tool(self, call: ToolCallDelta) -> list[bytes]:
        self._called = True
        try:
            return [event for piece in self._calls.take(call) for event in self._tool_use(piece)]
        except OutOfTurn:
            self._scattered = True
            return []

    def _rest(self) -> list[bytes]:
        """The events of the calls that had to wait for others."""
        return [event for piece in self._calls.rest() for event in self._tool_use(piece)]

    def _tool_use(self, call: ToolCallDelta) -> list[bytes]:
        name = self._names.get(call.name or "", call.name)
        head: dict[str, Any] = {
            "type": "tool_use",
            "id": self._about.call_id(call),
            "name": name,
            "input": {},
        }
        events = self._in_block("tool_use", call.index, head)
        if call.arguments:
            piece = {"type": "input_json_delta", "partial_json": call.arguments}
            events.append(self._piece(piece))
        return events

    def _in_block(self, kind: str, key: int, head: dict[str, Any]) -> list[bytes]:
        """The events that open a block of this kind, unless it is open already."""
        if self._open == (kind, key):
            return []
        events = [*(self._rest() if kind != "tool_use" else ()), *self._close()]
        self._open = (kind, key)
        start = {"type": "content_block_start", "index": self._blocks, "content_block": head}
        return [*events, sse.event("content_block_start", start)]

    def _piece(self, delta: dict[str, Any]) -> bytes:
        body = {"type": "content_block_delta", "index": self._blocks, "delta": delta}
        return sse.event("content_block_delta", body)

    def _close(self) -> list[bytes]:
        if self._open is None:
            return []
        self._open = None
        stop = {"type": "content_block_stop", "index": self._blocks}
        self._blocks += 1
        return [sse.event("content_block_stop", stop)]


def _is_native(raw: Mapping[str, Any]) -> bool:
    """Whether this is an event of a provider that speaks Messages."""
    if not raw.get("type") or "choices" in raw or responses_items.is_native(raw):
        return False
    return raw["type"] != "message_start" or isinstance(raw.get("message"), Mapping)

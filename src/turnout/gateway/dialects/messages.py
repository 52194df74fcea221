"""Anthropic's Messages: reads requests, writes whole answers and errors.

Invariant: an answer that came as a message passes unchanged, except for its model.
Source: platform.claude.com/docs/en/api/messages. This module does not know connections.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from turnout.core import Chunk, Delta, Dialect, ToolCallDelta
from turnout.gateway.dialects.messages_read import chat_body
from turnout.gateway.dialects.messages_stream import MessagesWriter
from turnout.gateway.dialects.messages_words import (
    ending,
    error_body,
    message_body,
    shows_thoughts,
    stop_in,
    tool_input,
)
from turnout.gateway.dialects.protocol import About, Inbound
from turnout.gateway.dialects.reading import inbound
from turnout.gateway.dialects.tool_names import full_names
from turnout.gateway.problem import Problem


class Messages:
    """``POST /v1/messages``."""

    name: Dialect = "messages"

    def read(self, payload: object) -> Inbound:
        """The request; ``model`` may be left out, which means auto. Raises InvalidRequest."""
        return inbound(payload, chat_body)

    def whole(self, chunk: Chunk, about: About) -> bytes:
        """A message."""
        if chunk.raw.get("type") == "message":
            return orjson.dumps({**chunk.raw, "model": chunk.model or about.model})
        deltas = [delta for delta in chunk.deltas if delta.choice == 0]
        finish = next((d.finish_reason for d in reversed(deltas) if d.finish_reason), None)
        end = ending(
            finish,
            "".join(delta.refusal for delta in deltas),
            called=any(delta.tool_calls for delta in deltas),
            stop=stop_in(chunk.raw, about.inbound.native),
        )
        content = _content(deltas, about)
        return orjson.dumps(message_body(about, chunk, content, end))

    def writer(self, about: About) -> MessagesWriter:
        """A writer of ``message_start`` … ``message_stop``."""
        return MessagesWriter(about)

    def error(self, problem: Problem, request_id: str) -> bytes:
        """``{"type": "error", "error": {...}}``."""
        return orjson.dumps({**error_body(problem), "request_id": request_id})


def _content(deltas: Sequence[Delta], about: About) -> list[dict[str, Any]]:
    with_thoughts = shows_thoughts(about.inbound.native)
    blocks: list[dict[str, Any]] = []
    for delta in deltas:
        if (delta.reasoning or delta.signature) and with_thoughts:
            thought = {"thinking": delta.reasoning, "signature": delta.signature}
            blocks.append({"type": "thinking", **thought})
        if delta.text and blocks and blocks[-1]["type"] == "text":
            blocks[-1]["text"] += delta.text
        elif delta.text:
            blocks.append({"type": "text", "text": delta.text})
        blocks += [_tool_use(call, about) for call in delta.tool_calls]
    return blocks


def _tool_use(call: ToolCallDelta, about: About) -> dict[str, Any]:
    return {
        "type": "tool_use",
        "id": about.call_id(call),
        "name": full_names(about.inbound.native).get(call.name or "", call.name),
        "input": tool_input(call.arguments),
    }

"""Anthropic's Messages: the request read, whole answers and errors written.

Invariant: an answer that came in this dialect's own form passes as it is, but for its model.
Source: platform.claude.com/docs/en/api/messages. This module does not know connections.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from turnout.core import Body, Chunk, Delta, Dialect, ToolCallDelta
from turnout.gateway.dialects.messages_read import chat_body
from turnout.gateway.dialects.messages_stream import MessagesWriter
from turnout.gateway.dialects.messages_words import (
    ending,
    error_body,
    message_id,
    shows_thoughts,
    stop_in,
    tool_input,
    usage_body,
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
        delta = chunk.deltas[0] if chunk.deltas else Delta()
        return orjson.dumps(
            {
                "id": message_id(about),
                "type": "message",
                "role": "assistant",
                "model": chunk.model or about.model,
                "content": _content(delta, about.inbound.native),
                **ending(
                    delta.finish_reason,
                    delta.refusal,
                    called=bool(delta.tool_calls),
                    stop=stop_in(chunk.raw, about.inbound.native),
                ),
                "usage": usage_body(chunk.usage),
            }
        )

    def writer(self, about: About) -> MessagesWriter:
        """A writer of ``message_start`` … ``message_stop``."""
        return MessagesWriter(about)

    def error(self, problem: Problem, request_id: str) -> bytes:
        """``{"type": "error", "error": {...}}``."""
        return orjson.dumps({**error_body(problem), "request_id": request_id})


def _content(delta: Delta, native: Body | None) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    names = full_names(native)
    if (delta.reasoning or delta.signature) and shows_thoughts(native):
        blocks.append(
            {"type": "thinking", "thinking": delta.reasoning, "signature": delta.signature}
        )
    if delta.text or not delta.tool_calls:
        blocks.append({"type": "text", "text": delta.text})
    return [*blocks, *(_tool_use(call, names) for call in delta.tool_calls)]


def _tool_use(call: ToolCallDelta, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "tool_use",
        "id": call.id,
        "name": names.get(call.name or "", call.name),
        "input": tool_input(call.arguments),
    }

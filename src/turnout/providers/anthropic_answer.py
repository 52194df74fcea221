"""Whole answers of Anthropic's Messages as chunks.

Invariant: what has the wrong type raises, so that nothing is half read; signatures are marked.
This module does not know bytes or streams.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from turnout.core import Chunk, Delta, ToolCallDelta
from turnout.providers.anthropic_usage import anthropic_usage
from turnout.providers.fields import Malformed, any_text
from turnout.providers.signatures import marked, told

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def read_message(payload: object, mark: str) -> Chunk:
    """The chunk in a decoded message. Raises Malformed."""
    if not isinstance(payload, Mapping) or not isinstance(payload.get("content"), list):
        raise Malformed("the answer is no message with a content list")
    blocks = [_marked(block, mark) for block in payload["content"]]
    return Chunk(
        deltas=(_delta(blocks, payload),),
        usage=anthropic_usage(payload.get("usage")),
        model=any_text(payload.get("model")) or None,
        id=any_text(payload.get("id")) or None,
        raw={**payload, "content": blocks},
    )


def _marked(block: object, mark: str) -> Mapping[str, Any]:
    if not isinstance(block, Mapping):
        raise Malformed("a content block is not an object")
    if block.get("type") == "thinking":
        length = len(any_text(block.get("thinking")))
        return {**block, "signature": told(any_text(block.get("signature")), mark, length)}
    if block.get("type") == "redacted_thinking":
        return {**block, "data": marked(any_text(block.get("data")), mark, 0)}
    return block


def _delta(blocks: Sequence[Mapping[str, Any]], payload: Mapping[str, Any]) -> Delta:
    of = {kind: [b for b in blocks if b.get("type") == kind] for kind in ("text", "thinking")}
    calls = [b for b in blocks if b.get("type") == "tool_use"]
    reason = any_text(payload.get("stop_reason"))
    return Delta(
        text="".join(any_text(b.get("text")) for b in of["text"]),
        reasoning="".join(any_text(b.get("thinking")) for b in of["thinking"]),
        signature="".join(any_text(b.get("signature")) for b in of["thinking"]),
        tool_calls=tuple(_call(place, block) for place, block in enumerate(calls)),
        finish_reason=FINISH_REASONS.get(reason, "stop"),
    )


def _call(place: int, block: Mapping[str, Any]) -> ToolCallDelta:
    return ToolCallDelta(
        index=place,
        id=any_text(block.get("id")),
        name=any_text(block.get("name")),
        arguments=orjson.dumps(block.get("input") or {}).decode(),
    )

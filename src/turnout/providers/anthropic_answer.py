"""Whole answers of Anthropic's Messages as chunks.

Invariant: what has the wrong type raises, so that nothing is half read; signatures are marked;
what the answer says stays in its order.
This module does not know bytes or streams.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from turnout.core import Chunk, Delta, ToolCallDelta
from turnout.core.hosted import SAID_BY_MODEL, SERVER_TOOL
from turnout.providers.anthropic_usage import anthropic_usage
from turnout.providers.fields import Malformed, any_text
from turnout.providers.signatures import redacted, told

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
    blocks = list(_marked(payload["content"], mark))
    return Chunk(
        deltas=(*_said(blocks), _end(payload)),
        usage=anthropic_usage(payload.get("usage")),
        model=any_text(payload.get("model")) or None,
        id=any_text(payload.get("id")) or None,
        raw={**payload, "content": blocks},
    )


def refusal_in(told: Mapping[str, Any]) -> str:
    """Why the model declined to go on, where an answer or its end says so."""
    details = told.get("stop_details")
    return any_text(details.get("explanation")) if isinstance(details, Mapping) else ""


def _marked(blocks: Sequence[object], mark: str) -> Iterator[Mapping[str, Any]]:
    said = 0
    for block in blocks:
        if not isinstance(block, Mapping):
            raise Malformed("a content block is not an object")
        kind = block.get("type")
        if kind == "thinking":
            length = len(any_text(block.get("thinking")))
            signature = told(any_text(block.get("signature")), mark, length, said)
            yield {**block, "signature": signature}
        elif kind == "redacted_thinking":
            yield {**block, "data": redacted(any_text(block.get("data")), mark, said)}
        else:
            said += len(any_text(block.get("text"))) if kind == "text" else 0
            yield block


def _said(blocks: Sequence[Mapping[str, Any]]) -> Iterator[Delta]:
    calls = 0
    for block in blocks:
        kind = block.get("type")
        if kind == "text":
            yield Delta(text=any_text(block.get("text")))
        elif kind == "thinking":
            signature = any_text(block.get("signature"))
            yield Delta(reasoning=any_text(block.get("thinking")), signature=signature)
        elif kind == "redacted_thinking":
            yield Delta(signature=any_text(block.get("data")))
        elif kind == "tool_use":
            yield Delta(tool_calls=(_call(calls, block),))
            calls += 1
        elif kind not in SAID_BY_MODEL:
            yield Delta(hosted=SERVER_TOOL)


def _end(payload: Mapping[str, Any]) -> Delta:
    reason = FINISH_REASONS.get(any_text(payload.get("stop_reason")), "stop")
    return Delta(refusal=refusal_in(payload), finish_reason=reason)


def _call(place: int, block: Mapping[str, Any]) -> ToolCallDelta:
    return ToolCallDelta(
        index=place,
        id=any_text(block.get("id")),
        name=any_text(block.get("name")),
        arguments=orjson.dumps(block.get("input") or {}).decode(),
    )

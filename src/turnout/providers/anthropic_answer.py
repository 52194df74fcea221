"""Reads whole answers of Anthropic's Messages as chunks.

Invariant: a value of the wrong type raises, so that no answer is read in part; signatures are
marked; the parts of the answer keep their order.
This module does not know bytes or streams.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from turnout.core import Chunk, Delta, ToolCallDelta
from turnout.core.hosted import MODEL_BLOCKS, SERVER_TOOL
from turnout.core.lost_fields import objects_in
from turnout.providers.anthropic_usage import anthropic_usage
from turnout.providers.fields import Malformed, any_text
from turnout.providers.signatures import marked, marked_redacted

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
        raise Malformed("the answer is not a message with a content list")
    blocks = list(_marked_blocks(payload["content"], mark))
    return Chunk(
        deltas=(*_deltas(blocks), _end(payload)),
        usage=anthropic_usage(payload.get("usage")),
        model=any_text(payload.get("model")) or None,
        raw={**payload, "content": blocks},
    )


def refusal_in(payload: Mapping[str, Any]) -> str:
    """Why the model declined to go on, as a message or its last delta says; empty if it did not."""
    details = payload.get("stop_details")
    return any_text(details.get("explanation")) if isinstance(details, Mapping) else ""


def _marked_blocks(blocks: Sequence[object], mark: str) -> Iterator[Mapping[str, Any]]:
    text_length = 0
    for block in blocks:
        if not isinstance(block, Mapping):
            raise Malformed("a content block is not an object")
        kind = block.get("type")
        if kind == "thinking":
            length = len(any_text(block.get("thinking")))
            signature = marked(any_text(block.get("signature")), mark, length, text_length)
            yield {**block, "signature": signature}
        elif kind == "redacted_thinking":
            data = any_text(block.get("data"))
            yield {**block, "data": marked_redacted(data, mark, text_length)}
        else:
            text_length += len(any_text(block.get("text"))) if kind == "text" else 0
            yield block


def _deltas(blocks: Sequence[Mapping[str, Any]]) -> Iterator[Delta]:
    calls = text_length = 0
    for block in blocks:
        kind = block.get("type")
        if kind == "text":
            text, start = any_text(block.get("text")), text_length
            text_length += len(text)
            sources = sources_of(objects_in(block.get("citations")), start, text_length)
            yield Delta(text=text, sources=sources)
        elif kind == "thinking":
            signature = any_text(block.get("signature"))
            yield Delta(reasoning=any_text(block.get("thinking")), signature=signature)
        elif kind == "redacted_thinking":
            yield Delta(signature=any_text(block.get("data")))
        elif kind == "tool_use":
            yield Delta(tool_calls=(_call(calls, block),))
            calls += 1
        elif kind not in MODEL_BLOCKS:
            yield Delta(hosted=SERVER_TOOL)


def sources_of(
    citations: Iterable[Mapping[str, Any]], start: int, end: int
) -> tuple[Mapping[str, Any], ...]:
    """The pages in the citations of a block of text, which is at ``start`` to ``end``."""
    place = {"start_index": start, "end_index": end}
    return tuple(
        {"url": one["url"], "title": one.get("title") or "", **place}
        for one in citations
        if one.get("url")
    )


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

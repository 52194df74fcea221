"""Whole answers of OpenAI's Responses as chunks, and what their items say.

Invariant: what has the wrong type raises, so that nothing is half read; thoughts are marked; what
the answer says stays in its order.
Source: platform.openai.com/docs/api-reference/responses/object.
This module does not know bytes or streams.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from turnout.core import Chunk, Delta, ToolCallDelta
from turnout.core.hosted import is_hosted
from turnout.providers.fields import Malformed, any_text
from turnout.providers.responses_thoughts import (
    BETWEEN,
    marked_item,
    signature_of,
    thought_of,
)
from turnout.providers.usage import responses_usage

Item = Mapping[str, Any]

# Where a call's words stand, by its kind.
SAID = {"function_call": "arguments", "custom_tool_call": "input"}


def read_response(payload: object, mark: str) -> Chunk:
    """The chunk in a decoded response. Raises Malformed.

    Its finish reason is None where the response has not come to its end.
    """
    if not isinstance(payload, Mapping):
        raise Malformed("the answer is no response")
    items = output_of(payload)
    calls = any(item.get("type") in SAID for item in items)
    return Chunk(
        deltas=(*_said(items, mark), Delta(finish_reason=finish_of(payload, calls=calls))),
        usage=responses_usage(payload.get("usage")),
        model=any_text(payload.get("model")) or None,
        id=any_text(payload.get("id")) or None,
        raw=told(payload, mark),
    )


def _said(items: Sequence[Item], mark: str) -> Iterator[Delta]:
    said = calls = 0
    for item in items:
        kind = item.get("type")
        if kind == "message":
            text = apart_from(text_of(item), said)
            said += len(text)
            yield Delta(text=text, refusal=text_of(item, "refusal"))
        elif kind == "reasoning":
            thought = thought_of(item)
            signature = signature_of(item, mark, len(thought), said)
            yield Delta(reasoning=thought, signature=signature)
        elif kind in SAID:
            yield Delta(tool_calls=(call_of(item, calls),))
            calls += 1
        elif is_hosted(kind):
            yield Delta(hosted=str(kind))


def apart_from(text: str, said: int) -> str:
    """A message's text, apart from those before it: where they are one, they are paragraphs."""
    return BETWEEN + text if text and said else text


def output_of(response: Item) -> Sequence[Item]:
    """The output items. Raises Malformed."""
    items = response.get("output")
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise Malformed("the response has no list of output items")
    return items


def told(response: Item, mark: str) -> dict[str, Any]:
    """The response as callers see it."""
    return {**response, "output": [told_item(item, mark) for item in response.get("output") or ()]}


def told_item(item: Item, mark: str) -> Item:
    """The output item as callers see it."""
    return marked_item(item, mark) if item.get("type") == "reasoning" else item


def text_of(item: Item, kind: str = "text") -> str:
    """What a message says, or why it says no more (``refusal``); empty for other items.

    Raises Malformed.
    """
    if item.get("type") != "message":
        return ""
    parts = item.get("content") or ()
    if not isinstance(parts, list) or not all(isinstance(part, Mapping) for part in parts):
        raise Malformed("a message's content is no list of parts")
    return "".join(any_text(part.get(kind)) for part in parts)


def call_of(item: Item, place: int) -> ToolCallDelta:
    """A whole call, which is the ``place``-th of its answer."""
    return ToolCallDelta(
        index=place,
        id=any_text(item.get("call_id")),
        name=any_text(item.get("name")),
        arguments=any_text(item.get(SAID[item["type"]])),
    )


def finish_of(response: Item, *, calls: bool) -> str | None:
    """Why the answer ended; None where it did not."""
    status = response.get("status")
    if status == "completed":
        return "tool_calls" if calls else "stop"
    if status != "incomplete":
        return None
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, Mapping) else None
    return "content_filter" if reason == "content_filter" else "length"

"""Reads whole answers of OpenAI's Responses as chunks, and single output items.

Invariant: a value of the wrong type raises, so that no answer is read in part; thoughts are marked;
the parts of the answer keep their order.
Source: platform.openai.com/docs/api-reference/responses/object.
This module does not know bytes or streams.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from turnout.core import Chunk, Delta, ToolCallDelta
from turnout.core.hosted import is_hosted
from turnout.core.lost_fields import objects_in
from turnout.providers.fields import Malformed, any_text
from turnout.providers.responses_thoughts import (
    BETWEEN,
    marked_item,
    signature_of,
    thought_of,
)
from turnout.providers.usage import responses_usage

Item = Mapping[str, Any]

# The field that holds what the model wrote in a call, by the call's type.
CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_PLACES = ("start_index", "end_index")


def read_response(payload: object, mark: str) -> Chunk:
    """The chunk in a decoded response. Raises Malformed.

    Its finish reason is None if the response is not finished.
    """
    if not isinstance(payload, Mapping):
        raise Malformed("the answer is not a response")
    items = output_of(payload)
    calls = any(item.get("type") in CALLS for item in items)
    return Chunk(
        deltas=(*_deltas(items, mark), Delta(finish_reason=finish_of(payload, calls=calls))),
        usage=responses_usage(payload.get("usage")),
        model=any_text(payload.get("model")) or None,
        raw=marked_response(payload, mark),
    )


def _deltas(items: Sequence[Item], mark: str) -> Iterator[Delta]:
    text_length = calls = 0
    for item in items:
        kind = item.get("type")
        if kind == "message":
            said = text_of(item)
            text = paragraph(said, text_length)
            text_length += len(text)
            sources = sources_of(item, text_length - len(said))
            yield Delta(text=text, refusal=text_of(item, "refusal"), sources=tuple(sources))
        elif kind == "reasoning":
            thought = thought_of(item)
            signature = signature_of(item, mark, len(thought), text_length)
            yield Delta(reasoning=thought, signature=signature)
        elif kind in CALLS:
            yield Delta(tool_calls=(call_of(item, calls),))
            calls += 1
        elif is_hosted(kind):
            yield Delta(hosted=str(kind))


def paragraph(text: str, text_length: int) -> str:
    """A message's text; as a new paragraph if there is text before it."""
    return BETWEEN + text if text and text_length else text


def output_of(response: Item) -> Sequence[Item]:
    """The output items. Raises Malformed."""
    items = response.get("output")
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise Malformed("the response has no list of output items")
    return items


def marked_response(response: Item, mark: str) -> dict[str, Any]:
    """The response with its thoughts marked."""
    output = [marked_item(item, mark) for item in response.get("output") or ()]
    return {**response, "output": output}


def text_of(item: Item, kind: str = "text") -> str:
    """A message's text, or its ``refusal``; empty for other items. Raises Malformed."""
    if item.get("type") != "message":
        return ""
    parts = item.get("content") or ()
    if not isinstance(parts, list) or not all(isinstance(part, Mapping) for part in parts):
        raise Malformed("a message's content is not a list of parts")
    return "".join(any_text(part.get(kind)) for part in parts)


def sources_of(item: Item, start: int) -> Iterator[Mapping[str, Any]]:
    """The pages that a message cites, in a text in which the message begins at ``start``."""
    for part in objects_in(item.get("content")):
        for cited in objects_in(part.get("annotations")):
            if cited.get("type") == "url_citation":
                yield {
                    name: start + value if name in _PLACES and isinstance(value, int) else value
                    for name, value in cited.items()
                    if name != "type"
                }
        start += len(any_text(part.get("text")))


def call_of(item: Item, place: int) -> ToolCallDelta:
    """A whole call; ``place`` is its number in the answer."""
    return ToolCallDelta(
        index=place,
        id=any_text(item.get("call_id")),
        name=any_text(item.get("name")),
        arguments=any_text(item.get(CALLS[item["type"]])),
    )


def finish_of(response: Item, *, calls: bool) -> str | None:
    """The finish reason; None if the response is not finished."""
    status = response.get("status")
    if status == "completed":
        return "tool_calls" if calls else "stop"
    if status != "incomplete":
        return None
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, Mapping) else None
    return "content_filter" if reason == "content_filter" else "length"

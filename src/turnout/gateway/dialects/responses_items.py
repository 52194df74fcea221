"""An answer as the output items of a Responses object, built piece by piece.

Invariant: the whole and the streamed answer come from the same items. Does not know events.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from turnout.core import Usage
from turnout.core.unsaid import objects_in
from turnout.gateway.dialects.protocol import About
from turnout.gateway.dialects.responses_tools import Offered

Item = dict[str, Any]

_CITATION = "url_citation"

_ECHOED = (
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "reasoning",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
    "truncation",
    "user",
)
_DEFAULTS: Mapping[str, Any] = {
    "metadata": {},
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "text": {"format": {"type": "text"}},
    "truncation": "disabled",
}


def ident(about: About, prefix: str, place: int | None = None) -> str:
    """An id made of the decision's; ``place`` tells items apart."""
    core = about.decision.id.removeprefix("d_")
    return f"{prefix}_{core}" if place is None else f"{prefix}_{core}{place:02d}"


def response_object(
    about: About, model: str, status: str, output: list[Item], usage: Usage | None
) -> dict[str, Any]:
    """The Responses object. ``status`` is in_progress, completed, incomplete or failed."""
    native = about.inbound.native or {}
    asked = {name: native[name] for name in _ECHOED if native.get(name) is not None}
    return {
        **dict.fromkeys(_ECHOED),
        **_DEFAULTS,
        **asked,
        "id": ident(about, "resp"),
        "object": "response",
        "created_at": about.created,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": output,
        "usage": None if usage is None else usage_body(usage),
        **_kept_here(about),
    }


def _kept_here(about: About) -> dict[str, Any]:
    """What no provider is told: the answer it follows, and whether it can be followed itself."""
    store = (about.inbound.native or {}).get("store") is not False
    return {"previous_response_id": about.inbound.follows, "store": store}


def is_native(raw: Mapping[str, Any]) -> bool:
    """Whether this is an event of a provider that speaks this dialect."""
    return "choices" not in raw and str(raw.get("type", "")).startswith("response.")


def passed(response: Mapping[str, Any], about: About, model: str) -> dict[str, Any]:
    """A provider's response as its caller sees it: what stayed here is what the caller said."""
    metadata = (about.inbound.native or {}).get("metadata") or {}
    return {**response, "model": model, "metadata": metadata, **_kept_here(about)}


def usage_body(usage: Usage) -> dict[str, Any]:
    """Usage in this dialect's words."""
    return {
        "input_tokens": usage.total_input,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": usage.total_output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total_input + usage.total_output,
    }


def ended(finish_reason: str | None) -> tuple[str, dict[str, str] | None]:
    """``status`` and ``incomplete_details`` for an internal finish reason."""
    if finish_reason == "length":
        return "incomplete", {"reason": "max_output_tokens"}
    if finish_reason == "content_filter":
        return "incomplete", {"reason": "content_filter"}
    return "completed", None


def message_item(about: About, place: int, status: str) -> Item:
    """An assistant message without content yet."""
    return {
        "id": ident(about, "msg", place),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [],
    }


def text_part(text: str, logprobs: Sequence[Any] = (), sources: Sequence[Item] = ()) -> Item:
    """A text part with the sources that it cites."""
    told = {"annotations": [*sources], "logprobs": [*logprobs]}
    return {"type": "output_text", "text": text, **told}


def sources_in(raw: Mapping[str, Any]) -> list[Item]:
    """The pages that the first choice of a chat answer or event cites, as annotations."""
    for choice in raw.get("choices") or ():
        if choice.get("index"):
            continue
        said = choice.get("message") or choice.get("delta") or {}
        return [
            {"type": _CITATION, **one[_CITATION]}
            for one in objects_in(said.get("annotations"))
            if isinstance(one.get(_CITATION), Mapping)
        ]
    return []


def logprobs_in(raw: Mapping[str, Any]) -> list[Any]:
    """What the first choice of a chat answer or event says of its tokens' probabilities."""
    for choice in raw.get("choices") or ():
        told = choice.get("logprobs")
        content = told.get("content") if isinstance(told, Mapping) else None
        if not choice.get("index"):
            return content if isinstance(content, list) else []
    return []


def refusal_part(text: str) -> Item:
    """A part that says why there is no (further) answer."""
    return {"type": "refusal", "refusal": text}


def reasoning_item(about: About, place: int) -> Item:
    """A reasoning item without text yet."""
    return {"id": ident(about, "rs", place), "type": "reasoning", "summary": []}


# How a call is written by kind: its id's prefix, and the field that holds what was said, empty yet.
_CALLS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "function_call": ("fc", {"arguments": ""}),
    "custom_tool_call": ("ctc", {"input": ""}),
    "tool_search_call": ("tsc", {"arguments": {}, "execution": "client"}),
}


def call_item(about: About, place: int, tool: Offered | None, call_id: str, name: str) -> Item:
    """A call under way of this tool, or of a function that was not offered, as the model wrote it.

    It has no arguments or input yet.
    """
    kind = tool.kind if tool else "function_call"
    prefix, said = _CALLS[kind]
    item = {
        "id": ident(about, prefix, place),
        "type": kind,
        "status": "in_progress",
        **said,
        "call_id": call_id,
    }
    if kind != "tool_search_call":
        item["name"] = tool.name if tool else name
    if tool and tool.namespace:
        item["namespace"] = tool.namespace
    return item

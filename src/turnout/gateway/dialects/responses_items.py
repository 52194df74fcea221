"""The Responses object and the output items of an answer.

Invariant: the whole and the streamed answer have the same items. This module does not know events.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from turnout.core import Usage
from turnout.gateway.dialects.protocol import About
from turnout.gateway.dialects.responses_tools import Offered

Item = dict[str, Any]

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
        "id": about.ident("resp"),
        "object": "response",
        "created_at": about.created,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": output,
        "usage": None if usage is None else usage_body(usage),
        **_state(about),
    }


def _state(about: About) -> dict[str, Any]:
    """The fields that the gateway fills in: the previous answer, and whether this one is kept."""
    store = (about.inbound.native or {}).get("store") is not False
    return {"previous_response_id": about.inbound.follows, "store": store}


def is_native(raw: Mapping[str, Any]) -> bool:
    """Whether this is an event of a provider that speaks Responses."""
    return "choices" not in raw and str(raw.get("type", "")).startswith("response.")


def passed(response: Mapping[str, Any], about: About, model: str) -> dict[str, Any]:
    """A provider's response for the caller, with the fields that the provider was not sent."""
    metadata = (about.inbound.native or {}).get("metadata") or {}
    return {**response, "model": model, "metadata": metadata, **_state(about)}


def usage_body(usage: Usage) -> dict[str, Any]:
    """Usage in Responses' fields."""
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
    """``status`` and ``incomplete_details`` for a finish reason of chat."""
    if finish_reason == "length":
        return "incomplete", {"reason": "max_output_tokens"}
    if finish_reason == "content_filter":
        return "incomplete", {"reason": "content_filter"}
    return "completed", None


def message_item(about: About, place: int, status: str) -> Item:
    """An assistant message, still without content."""
    return {
        "id": about.ident("msg", place),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [],
    }


def text_part(text: str, logprobs: Sequence[Any] = (), sources: Sequence[Item] = ()) -> Item:
    """A text part with the sources that it cites."""
    lists = {"annotations": [*sources], "logprobs": [*logprobs]}
    return {"type": "output_text", "text": text, **lists}


def logprobs_in(choice: Mapping[str, Any]) -> list[Any]:
    """The log probabilities of tokens in a choice of a chat answer or event."""
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    return content if isinstance(content, list) else []


def refusal_part(text: str) -> Item:
    """A part that says why the model declines to answer."""
    return {"type": "refusal", "refusal": text}


def reasoning_item(about: About, place: int) -> Item:
    """A reasoning item, still without text."""
    return {"id": about.ident("rs", place), "type": "reasoning", "summary": []}


# Calls by type: the prefix of their ids, and the fields for what the model wrote, still empty.
_CALLS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "function_call": ("fc", {"arguments": ""}),
    "custom_tool_call": ("ctc", {"input": ""}),
    "tool_search_call": ("tsc", {"arguments": {}, "execution": "client"}),
}


def call_item(about: About, place: int, tool: Offered | None, call_id: str, name: str) -> Item:
    """A call in progress, still without arguments. ``tool`` is None if none has this name."""
    kind = tool.kind if tool else "function_call"
    prefix, empty = _CALLS[kind]
    item = {
        "id": about.ident(prefix, place),
        "type": kind,
        "status": "in_progress",
        **empty,
        "call_id": call_id,
    }
    if kind != "tool_search_call":
        item["name"] = tool.name if tool else name
    if tool and tool.namespace:
        item["namespace"] = tool.namespace
    return item

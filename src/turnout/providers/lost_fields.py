"""The fields of a body that are lost when it is translated for a provider.

Invariant: handles the same fields as ``anthropic_request`` and ``responses_request``; all others
count as lost, except those that a client repeats from a model's answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from turnout.core import Body, Message, Request
from turnout.core.effort import THINKING
from turnout.core.lost_fields import CACHE_MARK, HandledFields, is_set, lost_fields, objects_in
from turnout.providers.responses_request import BREAKPOINT, TUNING

_SAMPLING = ("temperature", "top_p", "top_k")
_CHAT: HandledFields = dict.fromkeys(
    (
        "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens",
        "stop", "tools", "tool_choice", "parallel_tool_calls", "response_format", "user",
        "safety_identifier", "reasoning_effort", "thinking", CACHE_MARK, *_SAMPLING,
    )
)  # fmt: skip
_FUNCTION = frozenset({"name", "description", "parameters", "strict"})
_TOOL: HandledFields = {"type": None, "function": _FUNCTION | {CACHE_MARK}, CACHE_MARK: None}
_MESSAGE = frozenset({"role", "content", "tool_call_id", CACHE_MARK})
_OF_RESULTS = frozenset({"name"})
# What callers add to an earlier answer; its other fields are repeated from the model's answer.
_OF_ANSWERS = frozenset({"name", "prefix"})
_TEXTS = ("text", "input_text", "output_text", "refusal")
_TEXT = dict.fromkeys(("type", "text", "refusal"))
_MARKED = {"type": None, CACHE_MARK: None}
_PARTS: Mapping[str, HandledFields] = {
    **{kind: {**_TEXT, **_MARKED} for kind in _TEXTS},
    "image_url": {**_MARKED, "image_url": frozenset({"url"})},
    "file": {**_MARKED, "file": frozenset({"file_data", "filename"})},
}
# Fields of chat that our Responses bodies leave out.
_NOT_AT_RESPONSES = (*TUNING, "metadata", "store", "function_call", "top_logprobs", CACHE_MARK)
_RESPONSES_TOOL: HandledFields = {"type": None, "function": _FUNCTION}
_RESPONSES_PARTS: Mapping[str, HandledFields] = {
    **{kind: {**_TEXT, BREAKPOINT: None} for kind in _TEXTS},
    "image_url": dict.fromkeys(("type", "image_url", BREAKPOINT)),
    "file": dict.fromkeys(("type", "file", BREAKPOINT)),
}


def lost_in_messages(request: Request, body: Body) -> Iterator[str]:
    """The fields of a chat body that ``body``, for Anthropic's Messages, leaves out."""
    chat, effort = request.body, request.body.get("reasoning_effort")
    yield from lost_fields(chat, _CHAT)
    yield from (n for n in _SAMPLING if is_set(n, chat.get(n)) and n not in body)
    if "thinking" not in body:
        if _asks_to_think(chat):
            yield "thinking"
        if is_set("reasoning_effort", effort):
            yield "reasoning_effort"
    elif effort == "xhigh" and (body.get("output_config") or {}).get("effort") == "high":
        yield "reasoning_effort"
    named = chat.get("safety_identifier")
    if named and (body.get("metadata") or {}).get("user_id") != named:
        yield "safety_identifier"
    yield from _tools(chat, _TOOL)
    yield from _messages(chat["messages"], _PARTS)


def lost_natively(native: Body, body: Body) -> Iterator[str]:
    """The fields of a Messages body that ``body``, also for Messages, leaves out."""
    if "thinking" in body:
        return
    if _asks_to_think(native):
        yield "thinking"
    asked, kept = (one.get("output_config") or {} for one in (native, body))
    if asked.get("effort") and "effort" not in kept:
        yield "output_config.effort"


def lost_in_responses(request: Request) -> Iterator[str]:
    """The fields of a chat body that our Responses bodies leave out."""
    chat = request.body
    if request.dialect == "messages" and is_set("top_k", chat.get("top_k")):
        yield "top_k"
    yield from (name for name in _NOT_AT_RESPONSES if is_set(name, chat.get(name)))
    yield from _tools(chat, _RESPONSES_TOOL)
    yield from _messages(chat["messages"], _RESPONSES_PARTS)
    for message in chat["messages"]:
        if message.get(CACHE_MARK):
            yield CACHE_MARK
        parts = objects_in(message.get("content")) if message["role"] == "assistant" else ()
        if any(part.get(BREAKPOINT) for part in parts):
            yield f"messages.{BREAKPOINT}"  # only parts of the input can have it


def _asks_to_think(body: Body) -> bool:
    return (body.get("thinking") or {}).get("type") in THINKING


def _tools(chat: Body, handled: HandledFields) -> Iterator[str]:
    for tool in objects_in(chat.get("tools")):
        if isinstance(tool.get("function"), Mapping):
            yield from lost_fields(tool, handled, "tools.")


def _messages(messages: Sequence[Message], parts: Mapping[str, HandledFields]) -> Iterator[str]:
    for message in messages:
        keys, role = message.keys(), message["role"]
        if role == "assistant":
            lost = keys & _OF_ANSWERS
        else:
            lost = keys - _MESSAGE - (_OF_RESULTS if role in ("tool", "function") else frozenset())
        if lost:
            yield from lost_fields({name: message[name] for name in lost}, {}, "messages.")
        for part in objects_in(message.get("content")):
            handled = parts.get(str(part.get("type")))
            if handled is not None:
                yield from lost_fields(part, handled, "messages.")


def without_marks(body: dict[str, Any]) -> bool:
    """Removes the cache marks from a chat body. Returns whether there were any.

    A content of one text part becomes plain text again, which every provider takes.
    """
    before = body["messages"], body.get("tools"), body.pop(CACHE_MARK, None)
    body["messages"] = [_unmarked(message) for message in before[0]]
    if before[1]:
        body["tools"] = [_bare_tool(tool) for tool in before[1]]
    return before != (body["messages"], body.get("tools"), None)


def _unmarked(message: Message) -> Message:
    message = _bare(message)
    parts = objects_in(message.get("content"))
    if not any(CACHE_MARK in part for part in parts):
        return message
    bare = [_bare(part) for part in parts]
    alone = len(bare) == 1 and bare[0].get("type") == "text"
    return {**message, "content": bare[0]["text"] if alone else bare}


def _bare(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return {k: v for k, v in item.items() if k != CACHE_MARK} if CACHE_MARK in item else item


def _bare_tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    tool, function = _bare(tool), tool.get("function")
    if isinstance(function, Mapping) and CACHE_MARK in function:
        return {**tool, "function": _bare(function)}
    return tool

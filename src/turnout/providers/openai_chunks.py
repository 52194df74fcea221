"""Choices of an OpenAI answer or stream event as deltas.

Invariant: what has the wrong type raises, so that nothing is half read.
This module does not know bytes, errors or usage.
"""

from collections.abc import Mapping
from typing import Any, Literal

import orjson

from turnout.core import Chunk, Delta, ToolCallDelta
from turnout.providers.fields import Malformed, an_index
from turnout.providers.usage import openai_usage

Part = Literal["message", "delta"]


# Why a provider ended an answer that is none: OpenRouter's, DeepSeek's and Z.ai's words.
INTERRUPTED = frozenset({"error", "insufficient_system_resource", "network_error"})


def read_chunk(payload: object, part: Part) -> Chunk:
    """The chunk in a decoded answer (``message``) or stream event (``delta``).

    ``raw`` is the whole payload as the provider sent it. Raises Malformed.
    """
    answer = _mapping(payload, "the answer")
    choices, usage = answer.get("choices") or [], answer.get("usage")
    if not isinstance(choices, list):
        raise Malformed("choices is not a list")
    return Chunk(
        deltas=tuple([_delta(choice, place, part) for place, choice in enumerate(choices)]),
        usage=openai_usage(usage or _usage_of_groq(answer)),
        model=_name(answer.get("model"), "model"),
        id=_name(answer.get("id"), "id"),
        raw=answer,
    )


def _usage_of_groq(answer: Mapping[str, Any]) -> object:
    """Groq puts a stream's usage under ``x_groq`` (console.groq.com/docs/api-reference)."""
    extra = answer.get("x_groq")
    return extra.get("usage") if isinstance(extra, dict) else None


def _delta(choice: object, place: int, part: Part) -> Delta:
    item = _mapping(choice, "a choice")
    message = _mapping(item.get(part) or {}, part)
    reasoning, calls = message.get("reasoning_content"), message.get("tool_calls")
    return Delta(
        choice=_index(item.get("index"), place),
        text=_content(message.get("content")),
        reasoning=_text(reasoning or message.get("reasoning"), "reasoning"),
        refusal=_text(message.get("refusal"), "refusal"),
        tool_calls=_tool_calls(calls) if calls else (),
        hosted=_beside(message),
        finish_reason=_name(item.get("finish_reason"), "finish_reason"),
    )


def _beside(message: Mapping[str, Any]) -> str:
    """What a message says otherwise than in words: the field of its sound, pictures, old call."""
    sound = message.get("audio")
    if isinstance(sound, dict) and (sound.get("data") or sound.get("transcript")):
        return "audio"
    return next((name for name in ("images", "function_call") if message.get(name)), "")


def _content(value: object) -> str:
    """Content is a string, or a list of parts of which the text ones count."""
    if isinstance(value, list):
        parts = [_mapping(part, "a content part") for part in value]
        return "".join(_text(part.get("text"), "text") for part in parts)
    return _text(value, "content")


def _tool_calls(value: object) -> tuple[ToolCallDelta, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(_tool_call(call, place) for place, call in enumerate(value))


def _tool_call(value: object, place: int) -> ToolCallDelta:
    call = _mapping(value, "a tool call")
    function = _mapping(call.get("function") or {}, "function")
    arguments = function.get("arguments")
    if isinstance(arguments, dict):
        arguments = orjson.dumps(arguments).decode()
    return ToolCallDelta(
        index=_index(call.get("index"), place),
        id=_name(call.get("id"), "id"),
        name=_name(function.get("name"), "name"),
        arguments=_text(arguments, "arguments"),
    )


def _name(value: object, what: str) -> str | None:
    """Text that says something, else None."""
    return _text(value, what) or None


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"{what} is not an object")
    return value


def _text(value: object, what: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Malformed(f"{what} is not text")
    return value


def _index(value: object, place: int) -> int:
    return place if value is None else an_index(value)

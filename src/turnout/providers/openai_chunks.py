"""Reads the choices of an OpenAI answer or stream event as deltas.

Invariant: a value of the wrong type raises, so that no answer is read in part.
This module does not know bytes, errors or usage.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import orjson

from turnout.core import Chunk, Delta, ToolCallDelta
from turnout.core.lost_fields import objects_in
from turnout.providers.fields import Malformed, an_index, an_object, any_text
from turnout.providers.usage import openai_usage

Part = Literal["message", "delta"]
# Finish reasons of answers that broke off, at OpenRouter, DeepSeek, Z.ai and Gemini.
INTERRUPTED = frozenset(
    {"error", "insufficient_system_resource", "network_error", "function_call_filter"}
)
_OPENAIS = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
# What those of Mistral, Z.ai and Gemini mean. Gemini adds its own word after a colon.
_MEANT = {
    **{reason: reason for reason in INTERRUPTED | _OPENAIS},
    "malformed_function_call": "function_call_filter",
    **dict.fromkeys(("model_length", "model_context_window_exceeded", "max_tokens"), "length"),
    **dict.fromkeys(
        ("sensitive", "safety", "recitation", "blocklist", "prohibited_content", "spii"),
        "content_filter",
    ),
}
# Where a message has content beside text; sound may also be empty.
_SOUND, _OTHERS = "audio", ("images", "function_call")
_OTHER_CONTENT = frozenset({_SOUND, *_OTHERS})


def read_chunk(payload: object, part: Part) -> Chunk:
    """The chunk in a decoded answer (``message``) or stream event (``delta``).

    ``raw`` is the whole payload as the provider sent it. Raises Malformed.
    """
    answer = an_object(payload, "the answer")
    choices, usage = answer.get("choices") or [], answer.get("usage")
    if not isinstance(choices, list):
        raise Malformed("choices is not a list")
    return Chunk(
        deltas=tuple([_delta(choice, place, part) for place, choice in enumerate(choices)]),
        usage=openai_usage(usage or _usage_of_groq(answer)),
        model=any_text(answer.get("model"), "model") or None,
        id=any_text(answer.get("id"), "id") or None,
        raw=answer,
    )


def _usage_of_groq(answer: Mapping[str, Any]) -> object:
    """The usage of a stream of Groq, under ``x_groq`` (console.groq.com/docs/api-reference)."""
    extra = answer.get("x_groq")
    return extra.get("usage") if isinstance(extra, dict) else None


def _delta(choice: object, place: int, part: Part) -> Delta:
    item = an_object(choice, "a choice")
    message = an_object(item.get(part) or {}, part)
    thoughts = message.get("reasoning_content") or message.get("reasoning")
    text, calls = message.get("content"), message.get("tool_calls")
    cited, index = message.get("annotations"), item.get("index")
    if isinstance(text, list):
        text, in_parts = _text_and_thoughts(text)
        thoughts = thoughts or in_parts
    return Delta(
        choice=place if index is None else an_index(index),
        text=any_text(text, "content"),
        reasoning=any_text(thoughts, "reasoning"),
        refusal=any_text(message.get("refusal"), "refusal"),
        tool_calls=_tool_calls(calls, part) if calls else (),
        sources=tuple(_sources(cited)) if cited else (),
        hosted=_other_content(message),
        finish_reason=_finish(any_text(item.get("finish_reason"), "finish_reason")),
    )


def _finish(reason: str) -> str | None:
    """The finish reason in OpenAI's words, where it has one for it."""
    if not reason or reason in _OPENAIS:
        return reason or None
    return _MEANT.get(reason.partition(":")[0].lower(), reason)


def _other_content(message: Mapping[str, Any]) -> str:
    """The field of a message's sound, pictures or old function call; empty if it has none."""
    if _OTHER_CONTENT.isdisjoint(message):
        return ""
    sound = message.get(_SOUND)
    if isinstance(sound, dict) and (sound.get("data") or sound.get("transcript")):
        return _SOUND
    return next((name for name in _OTHERS if message.get(name)), "")


def _sources(annotations: object) -> Iterator[Mapping[str, Any]]:
    for annotation in objects_in(annotations):
        page = annotation.get("url_citation")
        if isinstance(page, Mapping):
            yield page


def _text_and_thoughts(content: Sequence[Any]) -> tuple[str, str]:
    """Those of content in parts, as in docs.mistral.ai/capabilities/reasoning."""
    text = _text(content)
    thoughts = [part.get("thinking") for part in content if part.get("type") == "thinking"]
    return text, "".join([_text(inner) for inner in thoughts if isinstance(inner, list)])


def _text(parts: Sequence[object]) -> str:
    """The texts of the parts. Raises Malformed for what is no part."""
    objects = [an_object(part, "a content part") for part in parts]
    return "".join([any_text(part.get("text"), "text") for part in objects])


def _tool_calls(value: object, part: Part) -> tuple[ToolCallDelta, ...]:
    if not isinstance(value, list):
        raise Malformed("tool_calls is not a list")
    return tuple(_tool_call(call, place, part) for place, call in enumerate(value))


def _tool_call(value: object, place: int, part: Part) -> ToolCallDelta:
    call = an_object(value, "a tool call")
    function = an_object(call.get("function") or {}, "function")
    arguments = function.get("arguments")
    # In a message each call is whole, and some servers give all of them the same number.
    index = call.get("index") if part == "delta" else None
    if isinstance(arguments, dict):
        arguments = orjson.dumps(arguments).decode()
    return ToolCallDelta(
        index=place if index is None else an_index(index),
        id=any_text(call.get("id"), "id") or None,
        name=any_text(function.get("name"), "name") or None,
        arguments=any_text(arguments, "arguments"),
    )

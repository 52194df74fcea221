"""Joins the streamed chunks of an OpenAI answer into the whole answer.

Invariant: every fragment of every choice ends up in its message, in order.
This module does not know where the chunks come from.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from turnout.core.request import parts_of

# Fields of a message that grow with each piece: texts, and a list.
_JOINED = ("content", "reasoning_content", "reasoning_signature", "refusal", "annotations")


def whole_answer(chunks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The ``chat.completion`` from the chunks of a stream, or the error object in them."""
    answer: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        if "error" in chunk:
            return {"error": chunk["error"]}
        answer |= {key: value for key, value in chunk.items() if key != "choices" and value}
        for part in chunk.get("choices") or ():
            add(choices.setdefault(part.get("index", 0), _empty_choice(part)), part)
    ordered = [choices[index] for index in sorted(choices)]
    return {**answer, "object": "chat.completion", "choices": ordered}


def _empty_choice(part: Mapping[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": ""}
    return {"index": part.get("index", 0), "message": message, "finish_reason": None}


def add(choice: dict[str, Any], piece: Mapping[str, Any]) -> None:
    """Adds a piece to a choice."""
    delta, message = piece.get("delta") or {}, choice["message"]
    choice["finish_reason"] = piece.get("finish_reason") or choice["finish_reason"]
    for name in _JOINED:
        before, more = message.get(name), delta.get(name)
        if more:
            message[name] = _joined(before, more) if before else more
    for call in delta.get("tool_calls") or ():
        _add_call(message.setdefault("tool_calls", []), call)


def _joined(before: Any, more: Any) -> Any:
    """Two pieces of a field. Some models think in parts and then answer in texts."""
    return before + more if type(before) is type(more) else parts_of(before) + parts_of(more)


def _add_call(calls: list[dict[str, Any]], piece: Mapping[str, Any]) -> None:
    index = piece.get("index", 0)
    while len(calls) <= index:
        calls.append({"id": None, "type": "function", "function": {"name": None, "arguments": ""}})
    call, function = calls[index], piece.get("function") or {}
    call["id"] = piece.get("id") or call["id"]
    call["function"]["name"] = function.get("name") or call["function"]["name"]
    call["function"]["arguments"] += function.get("arguments") or ""

"""Deterministic answers of an upstream that tells the truth, token by token.

Invariant: the same request gets the same answer, and each delta is exactly one token.
This module does not know faults or sockets.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnout.core import strings
from turnout.testing.samples import sample

_TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])|\s+")
_NONCE = re.compile(r"nonce[:= ]+([\w.-]+)", re.IGNORECASE)
_WORDS = ("signal", "lever", "points", "rails", "platform", "train", "yard", "engine", "carriage")
_LENGTH = 24
_REASONING_LENGTH = 8

Delta = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer as deltas of one token each; the first ``reasoning`` of them are reasoning.

    ``certainty`` is each token's probability, None where nobody asked for it.
    """

    deltas: tuple[Delta, ...]
    reasoning: int
    finish_reason: str
    certainty: float | None = None

    def logprobs(self, deltas: Sequence[Delta]) -> dict[str, Any]:
        """What a choice says of the probabilities of its tokens, where that was asked for."""
        if self.certainty is None:
            return {}
        tokens = [
            {"token": delta["content"], "logprob": math.log(self.certainty)}
            for delta in deltas
            if delta.get("content")
        ]
        return {"logprobs": {"content": tokens}}

    def message(self) -> dict[str, Any]:
        """The deltas as one message."""
        message: dict[str, Any] = {"role": "assistant", "content": _joined(self.deltas, "content")}
        if self.reasoning:
            message["reasoning_content"] = _joined(self.deltas, "reasoning_content")
        calls = [call for delta in self.deltas for call in delta.get("tool_calls", ())]
        if calls:
            message["tool_calls"] = _merged(calls)
        return message


def tokens_of(text: str) -> list[str]:
    """``text`` in this upstream's tokens: words and signs, with the blanks before them."""
    return _TOKEN.findall(text)


def prompt_tokens(body: Mapping[str, Any]) -> int:
    """Tokens of everything the model reads, and at least one."""
    texts = strings([body.get(name) for name in ("system", "messages", "tools")])
    return max(1, sum(len(tokens_of(text)) for text in texts))


def nonce_of(body: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """What identifies the request: ``nonce: X`` in its last message, or its x-request-id."""
    found = _NONCE.findall(" ".join(strings((body.get("messages") or [])[-1:])))
    return found[-1] if found else headers.get("x-request-id", "")


def answer(
    body: Mapping[str, Any],
    nonce: str,
    *,
    length: int | None = None,
    reason: bool = False,
    text: str | None = None,
    parallel: bool = False,
) -> Answer:
    """The answer to a chat request: tool calls where tools are offered, JSON where it is asked.

    Reasons first where ``reason`` or the body's ``reasoning_effort`` says so. ``length`` is the
    number of tokens of plain text, ``text`` the text itself. With ``parallel`` every tool is
    called. The caller's own cap is kept. Raises what reading a body of other types raises.
    """
    thoughts: tuple[Delta, ...] = ()
    if reason or body.get("reasoning_effort"):
        words = _filler_words(f"think {nonce}", _REASONING_LENGTH)
        thoughts = tuple({"reasoning_content": word} for word in words)
    tools = body.get("tools") or ()
    if tools and body.get("tool_choice") != "none" and not _has_tool_result(body):
        content = _calls(tools, body.get("tool_choice"), nonce, parallel=parallel)
        finish = "tool_calls"
    else:
        answer_text = _text(body, nonce, length) if text is None else text
        content = tuple({"content": piece} for piece in tokens_of(answer_text))
        finish = "stop"
    deltas = thoughts + content
    cap = body.get("max_completion_tokens") or body.get("max_tokens")
    if cap is not None and cap < 0:
        raise ValueError(f"a cap of {cap} tokens is none")
    if cap is not None and cap < len(deltas):
        deltas, finish = deltas[:cap], "length"
    return Answer(deltas=deltas, reasoning=min(len(thoughts), len(deltas)), finish_reason=finish)


def _text(body: Mapping[str, Any], nonce: str, length: int | None) -> str:
    response_format = body.get("response_format") or {}
    if response_format.get("type") == "json_schema":
        schema = (response_format.get("json_schema") or {}).get("schema")
        return json.dumps(sample(schema or {}, nonce))
    if response_format.get("type") == "json_object":
        return json.dumps({"model": body.get("model"), "nonce": nonce})
    opening = f"{body.get('model')} answers {nonce}:"
    seed = opening + " ".join(strings(body.get("messages") or []))
    missing = (length or _LENGTH) - len(tokens_of(opening))
    words = _filler_words(seed, missing) if missing > 0 else []
    return "".join([*tokens_of(opening), *words][: length or None])


def _filler_words(seed: str, length: int) -> list[str]:
    digest = hashlib.shake_256(seed.encode("utf-8", "replace")).digest(length)
    return [" " + _WORDS[byte % len(_WORDS)] for byte in digest]


def _calls(
    tools: Sequence[Mapping[str, Any]], choice: object, nonce: str, *, parallel: bool
) -> tuple[Delta, ...]:
    chosen_name = (
        (choice.get("function") or {}).get("name") if isinstance(choice, Mapping) else None
    )
    functions = [tool.get("function") or {} for tool in tools]
    if not parallel:
        functions = [next((f for f in functions if f.get("name") == chosen_name), functions[0])]
    return tuple(d for index, f in enumerate(functions) for d in _call(f, index, nonce))


def _call(function: Mapping[str, Any], index: int, nonce: str) -> tuple[Delta, ...]:
    arguments = json.dumps(sample(function.get("parameters") or {}, nonce))
    head = {
        "index": index,
        "id": f"call_{nonce}_{index}" if index else f"call_{nonce}",
        "type": "function",
        "function": {"name": function.get("name", ""), "arguments": ""},
    }
    rest = [{"index": index, "function": {"arguments": piece}} for piece in tokens_of(arguments)]
    return tuple({"tool_calls": [call]} for call in [head, *rest])


def _has_tool_result(body: Mapping[str, Any]) -> bool:
    messages = body.get("messages") or [{}]
    return bool(messages[-1].get("role") == "tool")


def _joined(deltas: Sequence[Delta], name: str) -> str:
    return "".join(delta.get(name, "") for delta in deltas)


def _merged(calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    merged: dict[int, dict[str, Any]] = {}
    for call in calls:
        function = call["function"]
        found = merged.setdefault(
            call["index"],
            {k: v for k, v in call.items() if k != "index"}
            | {"function": {**function, "arguments": ""}},
        )
        found["function"]["arguments"] += function["arguments"]
    return list(merged.values())

"""Answers in the shape of OpenAI's chat completions, with the decision and the account.

Invariant: the body's ``model`` is the one that answered; a blocked request gets a refusal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnout.core import Chunk, Decision, Delta, Outcome, ToolCallDelta, Usage
from turnout.core.request import parts_of
from turnout.runtime.receipt import Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer: ``body`` is an OpenAI chat completion; the rest says why and what it cost.

    ``outcomes`` are all calls in order, labels, drafts and failures included. ``left_out`` names
    fields of the request that were not sent to the model that answered. The answer to a blocked
    prompt is the refusal, with the ``finish_reason`` ``content_filter``.
    """

    body: Mapping[str, Any]
    decision: Decision
    outcomes: tuple[Outcome, ...]
    receipt: Receipt
    left_out: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The first choice's text, empty where it has none."""
        content = self.body["choices"][0]["message"].get("content")
        return "".join(part.get("text") or "" for part in parts_of(content))

    @property
    def cost_pico_usd(self) -> int | None:
        """Everything this request cost; None when a price is unknown."""
        return self.receipt.cost_pico_usd


def completion(chunk: Chunk, decision: Decision, model: str, created: int) -> dict[str, Any]:
    """A chat completion from a whole answer, with all other fields that the provider sent."""
    raw = dict(chunk.raw) if "choices" in chunk.raw else {}
    raw.setdefault("id", f"chatcmpl-{decision.id}")
    raw.setdefault("object", "chat.completion")
    raw.setdefault("created", created)
    raw["model"] = chunk.model or model
    if "choices" not in raw:
        raw["choices"] = [_choice(delta) for delta in _joined(chunk.deltas)]
        raw["usage"] = usage_body(chunk.usage or Usage())
    return raw


def refusal_body(decision: Decision, created: int) -> dict[str, Any]:
    """The chat completion that answers a blocked request, from no model."""
    return {
        "id": f"chatcmpl-{decision.id}",
        "object": "chat.completion",
        "created": created,
        "model": "turnout",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": decision.refusal,
                    "refusal": decision.refusal,
                },
                "finish_reason": "content_filter",
            }
        ],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }


def refusal_chunks(decision: Decision, created: int) -> list[dict[str, Any]]:
    """The refusal as stream chunks."""
    return [
        _chunk(decision, created, {"role": "assistant", "content": decision.refusal}, None),
        _chunk(decision, created, {}, "content_filter"),
    ]


def chunk_body(chunk: Chunk, decision: Decision, model: str, created: int) -> dict[str, Any]:
    """A stream chunk in OpenAI's shape, with all other fields that the provider sent."""
    raw = dict(chunk.raw) if "choices" in chunk.raw else {}
    raw["id"] = raw.get("id") or chunk.id or f"chatcmpl-{decision.id}"
    raw["object"] = "chat.completion.chunk"
    raw.setdefault("created", created)
    raw["model"] = chunk.model or model
    if "choices" not in raw:
        deltas = chunk.deltas if len(chunk.deltas) == 1 else _joined(chunk.deltas)
        raw["choices"] = [
            {"index": d.choice, "delta": _piece(d), "finish_reason": d.finish_reason}
            for d in deltas
        ]
        if chunk.usage:
            raw["usage"] = usage_body(chunk.usage)
    return raw


def usage_body(usage: Usage) -> dict[str, Any]:
    """Usage in OpenAI's shape: cached tokens are part of the prompt, reasoning of the answer."""
    return {
        "prompt_tokens": usage.total_input,
        "completion_tokens": usage.total_output,
        "total_tokens": usage.total_input + usage.total_output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def _chunk(
    decision: Decision, created: int, delta: Mapping[str, Any], finish: str | None
) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{decision.id}",
        "object": "chat.completion.chunk",
        "created": created,
        "model": "turnout",
        "choices": [{"index": 0, "delta": dict(delta), "finish_reason": finish}],
    }


def _joined(deltas: Sequence[Delta]) -> list[Delta]:
    """All that each choice says, as one delta."""
    return [
        Delta(
            choice=choice,
            text="".join(delta.text for delta in own),
            reasoning="".join(delta.reasoning for delta in own),
            refusal="".join(delta.refusal for delta in own),
            signature="".join(delta.signature for delta in own),
            tool_calls=tuple([call for delta in own for call in delta.tool_calls]),
            sources=tuple([page for delta in own for page in delta.sources]),
            finish_reason=own[-1].finish_reason,
        )
        for choice in sorted({delta.choice for delta in deltas})
        for own in [[delta for delta in deltas if delta.choice == choice]]
    ]


def _choice(delta: Delta) -> dict[str, Any]:
    message = {"role": "assistant", "content": delta.text or None, **_piece(delta)}
    if delta.tool_calls:
        # Only pieces of a stream are numbered; who sends a number back may be refused for it.
        message["tool_calls"] = [
            {name: value for name, value in call.items() if name != "index"}
            for call in message["tool_calls"]
        ]
    return {"index": delta.choice, "message": message, "finish_reason": delta.finish_reason}


def _piece(delta: Delta) -> dict[str, Any]:
    """The fields that a delta has; no empty ones, since callers join what is there."""
    found: dict[str, Any] = {"content": delta.text} if delta.text else {}
    if delta.reasoning:
        found["reasoning_content"] = delta.reasoning
    if delta.refusal:
        found["refusal"] = delta.refusal
    if delta.signature:
        found["reasoning_signature"] = delta.signature
    if delta.tool_calls:
        found["tool_calls"] = [_tool_call(call) for call in delta.tool_calls]
    if delta.sources:
        kind = "url_citation"
        found["annotations"] = [{"type": kind, kind: page} for page in delta.sources]
    return found


def _tool_call(call: ToolCallDelta) -> dict[str, Any]:
    """A tool call or a piece of one; only the first piece carries id, type and name."""
    function: dict[str, Any] = {"arguments": call.arguments}
    if call.name is not None:
        function = {"name": call.name, **function}
    found: dict[str, Any] = {"index": call.index, "function": function}
    return found if call.id is None else {**found, "id": call.id, "type": "function"}

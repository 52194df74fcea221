"""The small shapes of Anthropic's dialect: usage, errors, stop reasons, ids, tool inputs.

This module does not know streams.
"""

from typing import Any

import orjson

from turnout.core import Body, Usage
from turnout.gateway.dialects.protocol import About
from turnout.gateway.problem import Problem

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
THREAD = "thread"  # a conversation that the server keeps
THINKING = ("enabled", "adaptive")


def ending(
    finish_reason: str | None, refusal: str, *, called: bool, stop: str | None
) -> dict[str, Any]:
    """Why an answer ended: what was refused by that, with the reason; else by ``stop``, its words.

    Some servers end an answer that ``called`` tools as any other, and callers go by the reason.
    """
    reason = _STOP_REASONS.get(finish_reason or "stop", "end_turn")
    if refusal:
        told = {"type": "refusal", "explanation": refusal}
        return {"stop_reason": "refusal", "stop_sequence": None, "stop_details": told}
    if reason == "end_turn" and called:
        reason = "tool_use"
    if reason != "end_turn" or stop is None:
        return {"stop_reason": reason, "stop_sequence": None}
    return {"stop_reason": "stop_sequence", "stop_sequence": stop}


def stop_in(raw: Body, native: Body | None) -> str | None:
    """The caller's stop sequence that a chat answer ended at, where its server tells.

    vLLM calls it ``stop_reason``, SGLang ``matched_stop``; OpenAI has no word for it.
    """
    wanted = (native or {}).get("stop_sequences") or ()
    for choice in (raw.get("choices") or ())[:1] if wanted else ():
        told = choice.get("stop_reason") or choice.get("matched_stop")
        return told if told in wanted else None
    return None


def shows_thoughts(native: Body | None) -> bool:
    """Whether the answer to this body may hold thoughts that a model had unasked.

    Who asked for none takes the first block for the text, as it is at Anthropic; beside tools they
    are there all the same, since some models want them back with their calls.
    """
    body = native or {}
    return bool(body.get("tools")) or (body.get("thinking") or {}).get("type") in THINKING


def message_id(about: About) -> str:
    """The id of an answer that has none of its own."""
    return f"msg_{about.decision.id.removeprefix('d_')}"


def error_body(problem: Problem) -> dict[str, Any]:
    """The error, with every attempt."""
    other = "invalid_request_error" if problem.status < 500 else "api_error"
    error = {
        "type": _TYPES.get(problem.status, other),
        "message": problem.message,
        "code": problem.code,
        **problem.more(),
    }
    if problem.param == THREAD:
        # Clients that begin with a thread go on without one when they are told so in these words.
        error["details"] = {"error_code": "thread_unsupported_request", "unsupported": [THREAD]}
    return {"type": "error", "error": error}


def usage_body(usage: Usage | None) -> dict[str, Any]:
    """Usage, where cached tokens are not part of ``input_tokens``; this dialect needs numbers."""
    usage = usage or Usage()
    found: dict[str, Any] = {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.total_output,
    }
    if usage.reasoning:
        found["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return found


def tool_input(arguments: str) -> Any:
    """A tool call's arguments as an object; what is no JSON object is kept under ``_raw``."""
    try:
        value = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        return {"_raw": arguments}
    return value if isinstance(value, dict) else {"_raw": arguments}

"""The small parts of Anthropic's dialect: a message, usage, errors, stop reasons, tool inputs.

This module does not know streams.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from turnout.core import Body, Chunk, Usage
from turnout.core.effort import THINKING
from turnout.gateway.dialects.chat import first_choice
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
THREAD = "thread"  # names a conversation that the server keeps


def ending(
    finish_reason: str | None, refusal: str, *, called: bool, stop: str | None
) -> dict[str, Any]:
    """The fields that say why an answer ended.

    ``stop`` is the stop sequence at which it ended, if one is known. ``called``: it called tools.
    """
    if refusal:
        details = {"type": "refusal", "explanation": refusal}
        return {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    reason = _STOP_REASONS.get(finish_reason or "stop", "end_turn")
    if reason == "end_turn" and called:
        # Some servers end such an answer with "stop", but callers run tools only after "tool_use".
        reason = "tool_use"
    if reason == "end_turn" and stop is not None:
        return {"stop_reason": "stop_sequence", "stop_sequence": stop}
    return {"stop_reason": reason, "stop_sequence": None}


def stop_in(raw: Body, native: Body | None) -> str | None:
    """The caller's stop sequence at which a chat answer ended, if its server names it.

    vLLM names it in ``stop_reason``, SGLang in ``matched_stop``; OpenAI does not name it.
    """
    wanted = (native or {}).get("stop_sequences")
    if not wanted:
        return None
    choice = first_choice(raw)
    stop = choice.get("stop_reason") or choice.get("matched_stop")
    return stop if stop in wanted else None


def shows_thoughts(native: Body | None) -> bool:
    """Whether the answer to this body may contain a model's thoughts.

    A caller who did not ask for thoughts expects the first block to be text, as at Anthropic. With
    tools the answer contains them anyway, since some models need them back with their calls.
    """
    body = native or {}
    return bool(body.get("tools")) or (body.get("thinking") or {}).get("type") in THINKING


def message_body(
    about: About, chunk: Chunk, content: list[dict[str, Any]], end: Mapping[str, Any]
) -> dict[str, Any]:
    """A message with this content; ``end`` are the fields that say why it ended."""
    return {
        "id": about.ident("msg"),
        "type": "message",
        "role": "assistant",
        "model": chunk.model or about.model,
        "content": content,
        **end,
        "usage": usage_body(chunk.usage),
    }


def error_body(problem: Problem) -> dict[str, Any]:
    """The error, with all attempts."""
    other = "invalid_request_error" if problem.status < 500 else "api_error"
    error = {
        "type": _TYPES.get(problem.status, other),
        "message": problem.message,
        "code": problem.code,
        **problem.more(),
    }
    if problem.param == THREAD:
        # Clients that try a thread first go on without one when they get this code.
        error["details"] = {"error_code": "thread_unsupported_request", "unsupported": [THREAD]}
    return {"type": "error", "error": error}


def usage_body(usage: Usage | None) -> dict[str, Any]:
    """Usage in Messages' fields, zeros if unknown; ``input_tokens`` excludes cached tokens."""
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
    """A tool call's arguments as an object; under ``_raw`` if they are not a JSON object."""
    try:
        value = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        return {"_raw": arguments}
    return value if isinstance(value, dict) else {"_raw": arguments}

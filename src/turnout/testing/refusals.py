"""Error answers in the shapes and with the headers that providers really use.

Invariant: pure; a script gives one status, one set of headers and one body.
This module does not know sockets.
"""

import json
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

from turnout.core.effort import USUAL
from turnout.testing.script import Script

_TEXTS = {
    400: ("Invalid value for a parameter.", "invalid_request_error", "invalid_value"),
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    402: ("Insufficient credits. Please top up.", "insufficient_credits", "402"),
    403: ("You do not have access to this resource.", "permission_error", "forbidden"),
    404: ("The model does not exist.", "invalid_request_error", "model_not_found"),
    429: ("Rate limit reached for requests.", "requests", "rate_limit_exceeded"),
    529: ("Overloaded", "overloaded_error", "overloaded"),
}
_SPECIAL = {
    "quota": (
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        "insufficient_quota",
    ),
    "spend": ("This account has reached its limit.", "billing", "enforced_spend_limit_reached"),
    "context": (
        "This model's maximum context length is 8192 tokens. Please reduce the length.",
        "invalid_request_error",
        "context_length_exceeded",
    ),
    "unsupported": (
        "This model does not support assistant message prefill.",
        "invalid_request_error",
        "unsupported",
    ),
    "filter": (
        "The response was filtered due to the content management policy.",
        "invalid_request_error",
        "content_filter",
    ),
}


def unsupported_setting(script: Script, body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The error object about the first setting that a picky model does not accept."""
    if "unverified" in script and (body.get("reasoning") or {}).get("summary"):
        text = "Your organization must be verified to generate reasoning summaries."
        return _invalid(text, "reasoning.summary", "unsupported_value")
    for name in ("temperature", "top_p") if "picky" in script else ():
        if body.get(name, 1) != 1:
            text = f"Unsupported value: '{name}' does not support {body[name]} with this model."
            message = f"{text} Only the default (1) value is supported."
            return _invalid(message, name, "unsupported_value")
    effort = _effort(body) if "usual" in script else None
    if effort not in (None, *USUAL):
        text = f"Input should be 'low', 'medium' or 'high', not {effort!r}"
        return _invalid(text, "reasoning_effort", "literal_error")
    mark_path = _first_mark(body) if "unmarked" in script else None
    if mark_path is not None:
        return _invalid(f"Unknown parameter: '{mark_path}'.", mark_path, "unknown_parameter")
    return None


def _effort(body: Mapping[str, Any]) -> Any:
    """The effort, in any of the three APIs."""
    inner = body.get("reasoning") or body.get("output_config") or {}
    return body.get("reasoning_effort") or inner.get("effort")


def _invalid(message: str, param: str, code: str) -> dict[str, Any]:
    return {"message": message, "type": "invalid_request_error", "param": param, "code": code}


def _first_mark(value: object, path: str = "") -> str | None:
    """The path of the first cache mark."""
    if isinstance(value, Mapping):
        if "cache_control" in value:
            return f"{path}.cache_control".removeprefix(".")
        inner = ((item, f"{path}.{name}".removeprefix(".")) for name, item in value.items())
    elif isinstance(value, list):
        inner = ((item, f"{path}[{number}]") for number, item in enumerate(value))
    else:
        return None
    return next(filter(None, (_first_mark(item, item_path) for item, item_path in inner)), None)


def refusal(
    script: Script, request_headers: Mapping[str, str]
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the error that ``script`` asks for."""
    status = script.status or (429 if "spend" in script or "quota" in script else 400)
    body = json.dumps(_body(script, status, request_headers)).encode()
    headers = {"Content-Type": "application/json", "Date": formatdate(usegmt=True)}
    return status, {**headers, **_retry_headers(script)}, body


def error_object(script: Script, status: int, message: str = "") -> dict[str, Any]:
    """The inner error object in OpenAI's shape."""
    special = next((_SPECIAL[flag] for flag in _SPECIAL if flag in script), None)
    fallback = ("The server had an error.", "server_error", "internal_error")
    text, kind, code = special or _TEXTS.get(status, fallback)
    return {"message": message or text, "type": kind, "param": None, "code": code}


def _body(script: Script, status: int, headers: Mapping[str, str]) -> dict[str, Any]:
    echo = f"Bad key: {headers.get('authorization', '')}" if "echokey" in script else ""
    error = error_object(script, status, echo)
    if "plainerror" in script:
        return {"error": error["message"]}
    if "flaterror" in script:
        return {"message": error["message"], "code": error["code"]}
    if "detailerror" in script:
        return {"detail": error["message"]}
    return {"error": error}


def _retry_headers(script: Script) -> dict[str, str]:
    if "ragarbage" in script:
        return {"Retry-After": "soon"}
    if "rahuge" in script:
        return {"Retry-After": "1000000000"}
    kind, amount = script.wait or ("", 0.0)
    return {
        "ra": {"Retry-After": f"{amount:g}"},
        "radate": {"Retry-After": formatdate(time.time() + amount, usegmt=True)},
        "rams": {"Retry-After-Ms": f"{amount:g}"},
        "rareset": {"X-RateLimit-Reset": f"{time.time() + amount:.0f}"},
    }.get(kind, {})

"""Classifies error answers: from status, headers and text to a Fault.

Invariant: every status and every body gives exactly one fault, and its detail holds no secret.
This module does not know streams, transports or clocks.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from msgspec import structs

from turnout.core import Fault, FaultKind
from turnout.providers.scrub import scrub
from turnout.providers.settings import refused_setting
from turnout.providers.waiting import retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorText:
    """A provider's description of an error: message, machine-readable code and type, field."""

    message: str = ""
    code: str = ""
    type: str = ""
    param: str = ""

    @property
    def labels(self) -> str:
        """Code and type, in lower case."""
        return f"{self.code} {self.type}".lower()

    @property
    def words(self) -> str:
        """The message in lower case, without quoted text, which may be the caller's."""
        return _QUOTED.sub(" ", self.message).lower()


_QUOTED = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`""")
_CREDIT = re.compile(
    r"insufficient (?:\w+ )?(?:credit|balance|fund|quota)|(?:credit|balance)s? (?:is |are )?too low"
    r"|out of credits?|no credits? (?:left|remaining)|quota (?:is |has been )?exhausted"
    r"|exceeded your current quota|spend(?:ing)? limit|payment required|billing hard limit"
)
_CREDIT_LABELS = re.compile(
    r"insufficient_(?:quota|credit|balance|fund)|billing_hard_limit|spend_limit|payment_required"
    r"|billing_error|credits?_exhausted"
)
_SPEND = re.compile(r"spend(?:ing)?[_ ]limit|billing[_ ]hard[_ ]limit")
_CONTEXT = re.compile(
    r"context[ _]?(?:length|window|size)|maximum context|too many (?:input )?tokens"
    r"|prompt is too long|input is too long|exceeds? the (?:maximum|available) (?:number of )?"
    r"(?:input |context |prompt )?(?:tokens|size|length)|reduce the length"
)
_CONTEXT_LABELS = re.compile(
    r"context_length|exceed_context|string_above_max_length|max_tokens_exc"
)
_FILTER = re.compile(
    r"content[ _](?:management )?policy|content filter|flagged|safety system|moderation"
)
_FILTER_LABELS = re.compile(
    r"content_filter|content_policy|responsibleaipolicy|data_inspection|moderation"
    r"|(?:bio|cyber|misalignment)_policy"
)
# Refusals of something that another model may take.
_NOT_HERE = re.compile(
    r"(?:not|doesn't|don't|cannot|can't) support|unsupported"
    r"|not (?:available|enabled|allowed) (?:for|with|on|in|by) (?:this|the) model"
    r"|unexpected role|(?:must|should) alternate"
)
# Refusals of a conversation in which the model's own thoughts are missing.
_ITS_THOUGHTS = re.compile(
    r"must be passed back|thought[_ ]?signature|signature\W+in\W+thinking"
    r"|expected\W+thinking\W+or\W+redacted_thinking"
)
_TYPE_STATUS = (
    (re.compile(r"overloaded"), 529),
    (re.compile(r"rate_limit|too_many_requests|resource_exhausted"), 429),
    (re.compile(r"authentication|invalid_api_key|unauthorized|permission"), 401),
    (re.compile(r"image(?!_gen)"), 400),  # the caller's picture, which may also be "not_found"
    (re.compile(r"model_not_found|not_found"), 404),
    (re.compile(r"invalid_request|invalid_argument|bad_request|invalid_prompt"), 400),
    (_CONTEXT_LABELS, 400),
    (_FILTER_LABELS, 400),
)


def read_error(body: bytes) -> ErrorText:
    """The error in an answer's body in any known shape, or an excerpt of another body."""
    try:
        found = error_in(orjson.loads(body))
    except orjson.JSONDecodeError:
        found = None
    if found is not None:
        return found
    text = body[:2048].decode("utf-8", "replace")
    return ErrorText(message="an HTML page" if text.lstrip()[:1] == "<" else text)


def error_in(payload: object) -> ErrorText | None:
    """The error in a JSON answer; None if there is none.

    Reads four shapes: ``{"error": {…}}``, ``{"error": "text"}``, ``{"message", "code"}`` and
    ``{"detail": …}`` (FastAPI's, text or a list of ``{"msg"}``).
    """
    if not isinstance(payload, dict):
        return None
    error = payload.get("error")
    if isinstance(error, dict):
        return _error_object(error)
    if error:
        return ErrorText(message=str(error), code=_word(payload.get("code")))
    return None if "choices" in payload else _bare_error(payload)


def _bare_error(payload: Mapping[str, Any]) -> ErrorText | None:
    if payload.get("message") and "code" in payload:
        return _error_object(payload)
    detail = payload.get("detail")
    return ErrorText(message=_detail_text(detail), param=_detail_place(detail)) if detail else None


def classify(
    status: int | None,
    error: ErrorText,
    *,
    headers: Mapping[str, str] | None = None,
    now: float | None = None,
    secrets: Iterable[str] = (),
) -> Fault:
    """The fault of an error with this status; None if the error came in an answer with status 200.

    ``headers`` are in lower case; ``now`` is seconds since the epoch, for dates in headers.
    """
    meant = _meant_status(status, error)
    wait_s = retry_after_s(headers or {}, now)
    detail = scrub(_sentence(status, error), secrets)
    fault = _by_text(meant, error, detail, wait_s) or _by_status(meant, detail, wait_s)
    if fault.kind == "invalid_request":
        fault = _refused(fault, error)
    return structs.replace(fault, status=status)


def _refused(fault: Fault, error: ErrorText) -> Fault:
    """The refusal, with the setting that may be left out, and its scope if only this model's."""
    return structs.replace(
        fault,
        setting=refused_setting(error.message, error.param),
        scope="deployment" if _is_its_own(error) else fault.scope,
    )


def _is_its_own(error: ErrorText) -> bool:
    """Whether only this model refuses the request."""
    found = _NOT_HERE.search(error.words) or _ITS_THOUGHTS.search(error.message.lower())
    return found is not None


def _by_text(status: int, error: ErrorText, detail: str, wait_s: float | None) -> Fault | None:
    if _lacks_credit(status, error, wait_s):
        spent = _SPEND.search(f"{error.labels} {error.words}")
        kind: FaultKind = "spend_limit" if spent else "no_credit"
        return Fault(kind=kind, detail=detail, scope="provider", blame="us")
    if status in (401, 429) or status >= 500:
        return None
    if status == 413 or _CONTEXT_LABELS.search(error.labels) or _CONTEXT.search(error.words):
        return Fault(kind="context_length_exceeded", detail=detail, blame="client")
    if _FILTER_LABELS.search(error.labels) or _FILTER.search(error.words):
        return Fault(kind="content_filtered", detail=detail, scope="request", blame="client")
    return None


def _lacks_credit(status: int, error: ErrorText, wait_s: float | None) -> bool:
    if status == 402 or _CREDIT_LABELS.search(error.labels):
        return True
    # Some providers call a rate limit a quota; a stated wait tells the two apart.
    passing = status == 429 and wait_s is not None
    return not passing and _CREDIT.search(error.words) is not None


def _by_status(status: int, detail: str, wait_s: float | None) -> Fault:
    if status in (401, 403, 407):
        return Fault(kind="unauthorized", detail=detail, scope="provider", blame="us")
    if status in (404, 405, 410):
        return Fault(kind="not_found", detail=detail, blame="us")
    if status == 429:
        return Fault(
            kind="rate_limited",
            detail=detail,
            retry="rate_limit",
            retry_after_s=wait_s,
        )
    if status in (408, 409, 425) or status >= 500:
        return Fault(
            kind="unavailable",
            detail=detail,
            retry="transient",
            retry_after_s=wait_s,
            # An overloaded provider (529) is overloaded for all its models.
            scope="provider" if status == 529 else "deployment",
        )
    if 400 <= status < 500:
        return Fault(kind="invalid_request", detail=detail, scope="request", blame="client")
    return Fault(kind="bad_response", detail=detail)


def _meant_status(status: int | None, error: ErrorText) -> int:
    """The status that fits the error: some providers send 400 or 403 for a missing model."""
    if status is not None and status < 500 and "model_not_found" in error.labels:
        return 404
    return _implied_status(error) if status is None else status


def _implied_status(error: ErrorText) -> int:
    """The status an error inside a 200 answer would have had; unknown ones count as 500."""
    code = error.code.strip()
    if code.isdecimal() and 400 <= int(code[:4]) < 600:
        return int(code[:4])
    return next((status for pattern, status in _TYPE_STATUS if pattern.search(error.labels)), 500)


def _sentence(status: int | None, error: ErrorText) -> str:
    said = error.message.strip() or error.code or error.type or "no reason given"
    if status is None:
        return f"the provider reported an error in its answer: {said}"
    if 300 <= status < 400:
        return (
            f"HTTP {status}: the provider redirects, and redirects are not followed; check base_url"
        )
    return f"HTTP {status}: {said}"


def _error_object(error: Mapping[str, Any]) -> ErrorText:
    return ErrorText(
        message=_word(error.get("message")),
        code=_word(error.get("code")),
        type=_word(error.get("type") or error.get("status")),
        param=_word(error.get("param")),
    )


def _detail_text(detail: object) -> str:
    if isinstance(detail, list):
        return "; ".join(_detail_text(item) for item in detail)
    if isinstance(detail, dict):
        return _word(detail.get("msg") or detail.get("message") or dict(detail))
    return str(detail)


def _detail_place(detail: object) -> str:
    """The field that FastAPI's first error names, as a path."""
    first = detail[0] if isinstance(detail, list) and detail else None
    place = first.get("loc") if isinstance(first, dict) else None
    return ".".join(map(str, place)) if isinstance(place, list) else ""


def _word(value: object) -> str:
    return "" if value is None else str(value)

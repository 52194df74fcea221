"""What went wrong, for every dialect: status, code, message, attempts, when to come back.

Invariant: each error of the router has exactly one problem, and a problem's text has no secret.
This module does not know dialects or connections.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from turnout.core import (
    AllRoutesFailed,
    BadResponse,
    BudgetExceeded,
    ConfigError,
    ContentFiltered,
    ContextLengthExceeded,
    Exclusion,
    Fault,
    FaultKind,
    InvalidRequest,
    LedgerError,
    NoEligibleDeployment,
    NotFound,
    Outcome,
    ProviderError,
    RateLimited,
    RouterError,
    Standing,
    Timeout,
    Unauthorized,
    Unavailable,
)

DEFAULT_WAIT_S = 1.0
_TOO_LONG = "context_length_exceeded"
# Clients that do not read the code look for these words, and then shorten the conversation.
_TOO_LONG_MESSAGE = "the request is longer than the model's context length"
# Reasons against a model that the caller can do nothing about.
_BEYOND_CALLER = frozenset({"not_allowed", "denied", "no_key"})
_LONGEST_WAIT_S = 60.0


# OpenAI's types by status; other statuses below 500 are the request's fault, the rest ours.
_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One failure for the caller. ``code`` is OpenAI's word for it; ``param`` a field.

    ``allow`` lists the methods of a path that was called with another one.
    """

    status: int
    code: str
    message: str
    param: str | None = None
    retry_after_s: float | None = None
    attempts: tuple[Outcome, ...] = ()
    budgets: tuple[Standing, ...] = ()
    allow: str = ""

    @property
    def type(self) -> str:
        """OpenAI's word for failures of this status."""
        usual = "api_error" if self.status >= 500 else "invalid_request_error"
        return _TYPES.get(self.status, usual)

    @property
    def retryable(self) -> bool:
        """Whether the caller should try again: only where the gateway has named a time.

        A client that tries again by itself would not wait for longer than a minute.
        """
        is_soon = self.retry_after_s is not None and self.retry_after_s <= _LONGEST_WAIT_S
        return is_soon and not any(map(_never_fits, self.budgets))

    def headers(self) -> list[tuple[bytes, bytes]]:
        """``retry-after`` in whole seconds and its exact twin, and ``x-should-retry``."""
        found = [(b"x-should-retry", b"true" if self.retryable else b"false")]
        if self.retry_after_s is not None:
            found.append((b"retry-after", b"%d" % max(1, math.ceil(self.retry_after_s))))
            found.append((b"retry-after-ms", b"%d" % math.ceil(self.retry_after_s * 1e3)))
        if self.allow:
            found.append((b"allow", self.allow.encode()))
        return found

    def more(self) -> dict[str, Any]:
        """Every attempt, and the numbers of full budgets, for the error body."""
        found: dict[str, Any] = {"attempts": [_attempt(one) for one in self.attempts]}
        if self.budgets:
            found["budgets"] = [standing.as_dict() for standing in self.budgets]
        return found


_BY_CLASS: tuple[tuple[type[RouterError], int, str], ...] = (
    (NotFound, 404, "not_found"),
    (InvalidRequest, 400, "invalid_request"),
    (ContextLengthExceeded, 400, _TOO_LONG),
    (ContentFiltered, 400, "content_filter"),
    (RateLimited, 429, "rate_limit_exceeded"),
    # The provider refused the gateway's key, not the caller's: a 401 would blame the caller.
    (Unauthorized, 502, "provider_refused_key"),
    (Timeout, 504, "timeout"),
    (Unavailable, 502, "provider_unavailable"),
    (BadResponse, 502, "bad_provider_response"),
    (ConfigError, 500, "configuration"),
)


_LEDGER_UNAVAILABLE = Problem(
    status=503,
    code="ledger_unavailable",
    message="the ledger cannot be used now, so nothing may be spent; the gateway's log says why",
    retry_after_s=DEFAULT_WAIT_S,
)


def problem_of(error: RouterError, outcomes: Sequence[Outcome] = ()) -> Problem:
    """The problem to tell the caller for ``error``; ``outcomes`` are the calls that were made."""
    problem = _problem_of(error, outcomes)
    if problem.code == _TOO_LONG:
        return replace(problem, message=f"{_TOO_LONG_MESSAGE}: {problem.message}")
    return problem


def _problem_of(error: RouterError, outcomes: Sequence[Outcome]) -> Problem:
    if isinstance(error, BudgetExceeded):
        return _over_budget(error)
    if isinstance(error, NoEligibleDeployment):
        return _no_eligible(error)
    if isinstance(error, AllRoutesFailed):
        return _all_failed(error)
    if isinstance(error, InvalidRequest) and error.field == "model":
        return Problem(status=404, code="model_not_found", message=str(error), param="model")
    if isinstance(error, LedgerError):
        # Callers are not told where it is, or what its server says.
        return _LEDGER_UNAVAILABLE
    status, code = next(
        (row[1:] for row in _BY_CLASS if isinstance(error, row[0])), (500, "internal")
    )
    fault = error.fault if isinstance(error, ProviderError) else None
    return Problem(
        status=status,
        code=code,
        message=str(error),
        param=getattr(error, "field", None),
        retry_after_s=_retry_after_s(status, [fault] if fault else []),
        attempts=tuple(outcomes),
    )


def _over_budget(error: BudgetExceeded) -> Problem:
    """A 402 for money, a 429 for requests or tokens; both say when to come back."""
    is_rate = bool(error.standings) and all(s.budget.unit != "usd" for s in error.standings)
    resets = [s.resets_ms for s in error.standings]
    wait = None
    # A 429 always says when.
    if resets and None not in resets and (is_rate or not any(map(_never_fits, error.standings))):
        wait = max(0.0, max(ms for ms in resets if ms is not None) / 1e3 - time.time())
    return Problem(
        status=429 if is_rate else 402,
        code="rate_limit_exceeded" if is_rate else "budget_exceeded",
        message=str(error),
        retry_after_s=wait,
        budgets=error.standings,
    )


def _never_fits(full: Standing) -> bool:
    """Whether it will fit no later window: more than the whole budget, or an unknown amount."""
    return full.needed is None or full.needed > full.budget.limit


def _no_eligible(error: NoEligibleDeployment) -> Problem:
    """No model can take the request: not now (503), or never as it stands (400)."""
    excluded = [c.excluded for c in error.candidates if c.excluded]
    kinds = {exclusion.kind for exclusion in excluded}
    temporary = [exclusion for exclusion in excluded if exclusion.is_temporary]
    if temporary:
        return _none_available_now(error, temporary)
    if kinds == {"not_allowed"}:
        return Problem(
            status=403,
            code="model_not_allowed",
            message="this key may not use that model; GET /v1/models lists those that it may use",
            param="model",
        )
    if kinds == {"no_key"}:
        return Problem(status=503, code="no_key", message=str(error))
    return Problem(
        status=400,
        code=_TOO_LONG if kinds - _BEYOND_CALLER == {"window_exceeded"} else "no_eligible_model",
        message=str(error),
    )


def _none_available_now(error: NoEligibleDeployment, temporary: Sequence[Exclusion]) -> Problem:
    """With the time after which the first model is back, if one comes back by itself."""
    is_rate_limited = all(exclusion.after == "rate_limited" for exclusion in temporary)
    waits = [exclusion.wait_s for exclusion in temporary if exclusion.wait_s is not None]
    return Problem(
        status=429 if is_rate_limited else 503,
        code="rate_limit_exceeded" if is_rate_limited else "all_models_cooling_down",
        message=str(error),
        retry_after_s=max(DEFAULT_WAIT_S, min(waits)) if waits else None,
    )


# The problem of a kind of failure, if all models failed in that way.
_WHEN_ALL_FAILED: Mapping[FaultKind, tuple[int, str]] = {
    "rate_limited": (429, "rate_limit_exceeded"),
    "timeout": (504, "timeout"),
    "context_length_exceeded": (400, _TOO_LONG),
    "invalid_request": (400, "invalid_request"),
}


def _all_failed(error: AllRoutesFailed) -> Problem:
    """The problem of all attempts, or of those whose provider's API could express the request."""
    faults = [o.error for o in error.outcomes if o.error]
    kinds = {fault.kind for fault in faults}
    kinds = kinds - {"invalid_request"} or kinds
    status, code = 502, "all_models_failed"
    if len(kinds) == 1:
        status, code = _WHEN_ALL_FAILED.get(kinds.pop(), (status, code))
    return Problem(
        status=status,
        code=code,
        message=str(error),
        retry_after_s=_retry_after_s(status, faults),
        attempts=error.outcomes,
    )


def _retry_after_s(status: int, faults: Sequence[Fault]) -> float | None:
    """When to come back: a 429 always says that, another problem only if a provider did."""
    stated = [f.retry_after_s for f in faults if f.retry_after_s is not None]
    if stated:
        return min(stated)
    return DEFAULT_WAIT_S if status in (429, 503) else None


def _attempt(outcome: Outcome) -> dict[str, Any]:
    fault = outcome.error
    return {
        "model": outcome.route.model,
        "provider": outcome.route.provider,
        "status": outcome.status,
        "error": fault.kind if fault else None,
        "detail": fault.detail if fault else None,
        "provider_status": fault.status if fault else None,
        "retry_after_s": fault.retry_after_s if fault else None,
        "latency_ms": round(outcome.latency_ms, 1),
    }


def bad_request(message: str, *, status: int = 400, code: str = "invalid_request") -> Problem:
    """A request that is refused before it reaches the engine."""
    return Problem(status=status, code=code, message=message)


def broken_off(message: str) -> Problem:
    """An answer that cannot be finished."""
    return Problem(status=502, code="bad_provider_response", message=message)


def wrong_method(path: str, method: str, allowed: str) -> Problem:
    """A known path that was called with a method not ``allowed``."""
    message = f"{path[:100]} takes {allowed}, not {method}"
    return Problem(status=405, code="method_not_allowed", message=message, allow=allowed)


def overloaded() -> Problem:
    """Too many requests at a time."""
    return Problem(
        status=503,
        code="overloaded",
        message="the gateway has its most requests in progress; try again after Retry-After",
        retry_after_s=DEFAULT_WAIT_S,
    )


def internal() -> Problem:
    """A fault of the gateway's own; its details are in the log, not in the answer."""
    return Problem(
        status=500,
        code="internal",
        message="the gateway failed on this request; its log has the details under this request id",
    )

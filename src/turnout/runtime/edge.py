"""The public edge, where failures, which are values inside, become exceptions for the caller."""

from collections.abc import Mapping, Sequence

from turnout.core import (
    AllRoutesFailed,
    BadResponse,
    ContentFiltered,
    ContextLengthExceeded,
    Decision,
    Fault,
    FaultKind,
    InvalidRequest,
    NoEligibleDeployment,
    Outcome,
    ProviderError,
    RateLimited,
    RouterError,
    Timeout,
    Unauthorized,
    Unavailable,
)

ERROR_OF: Mapping[FaultKind, type[ProviderError]] = {
    "unauthorized": Unauthorized,
    "no_credit": Unauthorized,
    "spend_limit": Unauthorized,
    "not_found": Unavailable,
    "rate_limited": RateLimited,
    "context_length_exceeded": ContextLengthExceeded,
    "content_filtered": ContentFiltered,
    "timeout": Timeout,
    "unavailable": Unavailable,
    "bad_response": BadResponse,
    "interrupted": BadResponse,
    "rejected": BadResponse,
}


def error_of(fault: Fault) -> RouterError:
    """The exception that a fault becomes."""
    if fault.kind == "invalid_request":
        return InvalidRequest(fault.detail, field=fault.field)
    return ERROR_OF[fault.kind](fault)


def failure(decision: Decision, outcomes: Sequence[Outcome]) -> RouterError:
    """The exception for a decision that gave no answer, with every attempt."""
    answers = [o for o in outcomes if o.is_answer]
    if not decision.routes:
        return NoEligibleDeployment(decision.candidates)
    last = answers[-1].error if answers else None
    if last is not None and (last.scope == "request" or answers[-1].released):
        return error_of(last)
    return _inexpressible(answers) or AllRoutesFailed(answers)


def _inexpressible(answers: Sequence[Outcome]) -> InvalidRequest | None:
    """The error for a request that was not sent, since no candidate's API can express it."""
    if any(outcome.was_sent for outcome in answers):
        return None
    faults = [outcome.error for outcome in answers if outcome.error is not None]
    if not faults:
        return None
    reasons = "; ".join(dict.fromkeys(fault.detail for fault in faults))
    return InvalidRequest(
        f"{reasons}; change it, leave it out, or use a model that takes it", field=faults[0].field
    )

"""How a call failed, as a value: the kind, whether to try again, and whose fault it was.

This module does not know HTTP or clocks.
"""

from typing import Literal

from msgspec import Struct

Retry = Literal["no", "transient", "rate_limit"]
Scope = Literal["request", "deployment", "provider"]
Blame = Literal["client", "provider", "us"]
FaultKind = Literal[
    "invalid_request",
    "unauthorized",
    "no_credit",
    "spend_limit",
    "not_found",
    "rate_limited",
    "context_length_exceeded",
    "content_filtered",
    "timeout",
    "unavailable",
    "bad_response",
    "interrupted",
    "rejected",
]


class Fault(Struct, frozen=True, kw_only=True):
    """How a call failed.

    ``retry`` says whether the same route may be tried again, ``retry_after_s`` when; ``scope``
    says what else the failure rules out: only this request, this deployment, or its provider.
    ``blame`` says whose fault it was, the caller's, the provider's or ours; ``status`` is the HTTP
    status, None where there was no answer, and ``detail`` one line for people, without secrets.
    ``setting`` is what the model does not take, where leaving it out would only tune the answer;
    ``field`` is the part of the request, in chat's words, for which the provider's API has no word,
    so that nothing was sent.
    """

    kind: FaultKind
    detail: str
    retry: Retry = "no"
    retry_after_s: float | None = None
    scope: Scope = "deployment"
    blame: Blame = "provider"
    status: int | None = None
    setting: str | None = None
    field: str | None = None

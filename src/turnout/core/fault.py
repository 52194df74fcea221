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
    says what the failure rules out: this request, this deployment, or everything at its provider.
    ``blame`` says whose fault it was: the caller's, the provider's or ours. ``status`` is the HTTP
    status, None where there was no answer, and ``detail`` one line for people, without secrets.

    ``setting`` is a setting that the model refuses and that may be left out, since it only tunes
    the answer. ``field`` is the part of the request, by its name in chat completions, that the
    provider's API cannot express, so that nothing was sent.
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

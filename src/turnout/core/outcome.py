"""What happened when a route was tried.

Invariant: a failure is a value with a retry decision and a blame; every token is in one bucket.
This module does not know HTTP, prices or clocks.
"""

from typing import Literal

from msgspec import Struct

from turnout.core.decision import Route

Retry = Literal["no", "transient", "rate_limit"]
Scope = Literal["request", "deployment", "provider"]
Blame = Literal["client", "provider", "us"]
Status = Literal["ok", "failed", "cancelled"]
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


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens of one call in disjoint buckets whose sum is what is billed.

    ``input`` leaves out cached tokens, ``output`` leaves out reasoning tokens; ``lasting`` says
    that some were written to a cache that lasts an hour, ``estimated`` that the provider did not
    report them, ``unpriced`` that tools ran there which cost more than these tokens.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    lasting: bool = False
    estimated: bool = False
    unpriced: bool = False

    @property
    def total_input(self) -> int:
        """All prompt tokens, cached or not."""
        return self.input + self.cache_read + self.cache_write

    @property
    def total_output(self) -> int:
        """All generated tokens, reasoning included."""
        return self.output + self.reasoning

    @property
    def is_nothing(self) -> bool:
        """Whether nothing was used, which costs nothing at any price."""
        return not (self.total_input or self.total_output or self.unpriced)


class Fault(Struct, frozen=True, kw_only=True):
    """How a call failed.

    ``retry`` says whether the same route may be tried again, ``retry_after_s`` when; ``scope``
    says what else the failure rules out: only this request, this deployment, or its provider.
    ``setting`` is what the model does not take, where leaving it out would only tune the answer.
    """

    kind: FaultKind
    detail: str
    retry: Retry = "no"
    retry_after_s: float | None = None
    scope: Scope = "deployment"
    blame: Blame = "provider"
    status: int | None = None
    setting: str | None = None


class Outcome(Struct, frozen=True, kw_only=True):
    """One attempt's result.

    ``released`` says that part of the answer has left for the caller, after which no other route
    may be tried. ``cost_pico_usd`` is None when the price is unknown; ``model`` is the one that
    the provider says it served; ``began_s`` is when it began, on the machine's monotonic clock.
    """

    decision_id: str
    route: Route
    status: Status
    ordinal: int
    usage: Usage = Usage()
    cost_pico_usd: int | None = None
    model: str | None = None
    finish_reason: str | None = None
    ttft_ms: float | None = None
    latency_ms: float = 0.0
    released: bool = False
    error: Fault | None = None
    began_s: float | None = None

    @property
    def is_answer(self) -> bool:
        """Whether the call was made to answer, not to label the request or to verify a draft."""
        return self.route.role not in ("classifier", "verifier")

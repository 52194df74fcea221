"""What happened when a route was tried.

Invariant: every token is counted in exactly one bucket.
This module does not know HTTP, prices or clocks.
"""

from typing import Literal

from msgspec import Struct

from turnout.core.decision import Route
from turnout.core.fault import Fault

Status = Literal["ok", "failed", "cancelled"]


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens of one call in disjoint buckets whose sum is what is billed.

    ``input`` leaves out cached tokens, ``output`` leaves out reasoning tokens. ``hour_cache`` says
    that some were written to a cache that lasts an hour; ``estimated`` that the provider did not
    report them; ``unpriced`` that more is billed than these tokens, for hosted tools or pictures.
    ``searches`` are billed beside them. ``audio_input`` and ``audio_output`` are the parts of
    ``input`` and ``output`` that were sound, which has a price of its own.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    hour_cache: bool = False
    estimated: bool = False
    unpriced: bool = False
    searches: int = 0
    audio_input: int = 0
    audio_output: int = 0

    @property
    def total_input(self) -> int:
        """All prompt tokens, cached or not."""
        return self.input + self.cache_read + self.cache_write

    @property
    def total_output(self) -> int:
        """All generated tokens, reasoning included."""
        return self.output + self.reasoning

    @property
    def costs_beyond_text(self) -> bool:
        """Whether its cost differs from that of its tokens as text."""
        return bool(self.unpriced or self.searches or self.audio_input or self.audio_output)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was used, which costs nothing at any price."""
        return not (self.total_input or self.total_output or self.costs_beyond_text)


class Outcome(Struct, frozen=True, kw_only=True):
    """One attempt's result.

    ``ordinal`` counts a request's attempts from 0. ``ttft_ms`` is the time to the first token, None
    where none came, and ``latency_ms`` that of the whole call. ``released`` says that part of the
    answer was sent to the caller, after which no other route may be tried. ``cost_pico_usd`` is
    None when the price is unknown; ``model`` is the one that the provider says it served.
    ``began_s`` is when the call began, on the machine's monotonic clock; ``spent_s`` is for how
    many more seconds the provider's rate limit is used up, None where it does not say.
    ``stated_pico_usd`` is the cost that the provider states, None where it does not, or where no
    cost of that provider is believed.
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
    spent_s: float | None = None
    stated_pico_usd: int | None = None

    @property
    def is_answer(self) -> bool:
        """Whether the call was to answer, rather than to label the request or to verify a draft."""
        return self.route.role not in ("classifier", "verifier")

    @property
    def was_sent(self) -> bool:
        """Whether there was a call: none if the provider's API cannot express the request."""
        return self.error is None or self.error.field is None

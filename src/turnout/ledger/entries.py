"""The ledger's entries: one frozen value for each thing that happens to a request's money.

Invariant: amounts are whole pico-dollars, times are milliseconds since the epoch, and no entry
holds text of the caller or of a model. This module does not know SQL.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from turnout.core import Budget

State = Literal["held", "settled", "estimated", "released"]

HOUR_MS = 3_600_000
MOST_STORED = 2**63 - 1  # of the databases' whole numbers
UNDECIDED = "undecided"  # the intent of a request whose hold was freed before there was a decision

Tokens = tuple[int, int, int, int, int]  # input, cache read, cache write, output, reasoning
NO_TOKENS: Tokens = (0, 0, 0, 0, 0)
Sums = tuple[int, ...]  # what a request adds to a table of sums, by column


class Charge(Struct, frozen=True):
    """What a hold takes of a budget; ``amount`` is None if it is unknown."""

    account: str
    window: str
    amount: int | None
    subject: str
    budget: Budget
    resets_ms: int | None


class Use(Struct, frozen=True):
    """What was held of a budget, and how much of that was used in the end."""

    account: str
    window: str
    held: int
    spent: int


class Hold(Struct, frozen=True):
    """Money set aside before anything can be spent; ``amount_pico_usd`` is None without a bound.

    It frees itself when ``lease_until_ms`` has passed without a settlement. ``charges`` are what it
    takes of budgets, in place of what it took before (``replaces``). Where it is ``unsure`` whether
    an earlier change was written, the store says how much that was.
    """

    id: str
    request_id: str
    at_ms: int
    amount_pico_usd: int | None
    lease_until_ms: int
    owner: str
    charges: tuple[Charge, ...] = ()
    replaces: tuple[Charge, ...] = ()
    unsure: bool = False


class Decided(Struct, frozen=True):
    """A decision with the hold that covers what it may spend; ``record`` holds no text."""

    hold: Hold
    intent: str
    model: str | None
    deployment: str | None
    blocked: bool
    tenant: str | None
    session: str | None
    record: bytes


class PriceRow(Struct, frozen=True):
    """A price as it was used, named by its own content."""

    id: str
    model: str
    provider: str
    rates: str
    source: str
    date: str
    assumed: bool


class Call(Struct, frozen=True):
    """One call to a provider, whether it answered, failed or served to decide.

    ``n`` counts a request's calls from 0; ``served`` names the model that answered if it is not
    the one asked for; ``cost_pico_usd`` is None when its price is unknown. ``non_text_pico_usd`` is
    the part of the cost that is not for text tokens, or all of a cost that the provider stated.
    """

    id: str
    n: int
    role: str
    deployment: str
    model: str
    served: str | None
    status: str
    tokens: Tokens
    estimated: bool
    cost_pico_usd: int | None
    price: PriceRow | None
    ttft_ms: int | None
    latency_ms: int
    finish_reason: str | None
    fault: str | None
    http_status: int | None
    non_text_pico_usd: int = 0


class Event(Struct, frozen=True):
    """Something that people should know about a request: ``kind`` and one line of ``detail``."""

    id: str
    n: int
    at_ms: int
    kind: str
    detail: str


class Settlement(Struct, frozen=True):
    """The end of a request: what it cost, in all its calls.

    One that corrects an earlier one has ``n`` above 0, and its amounts are differences.
    ``cost_pico_usd`` sums the calls of known price, of which ``extra_pico_usd`` did not answer;
    ``unknown_calls`` counts the others. ``tokens`` are those of the call that answered, ``calls``
    those not yet written. ``request_id`` is given where no decision was recorded. ``twins`` has for
    each of their names what is added to the sums of ``schema.TWINS``. ``unsure`` is as for a hold.
    """

    id: str
    at_ms: int
    state: State
    decided_ms: int
    intent: str
    model: str
    answered: bool
    blocked: bool
    stand_in: bool
    cost_pico_usd: int
    extra_pico_usd: int
    extra_calls: int
    unknown_calls: int
    tokens: Tokens
    quality_ppm: int | None
    request_id: str = ""
    calls: tuple[Call, ...] = ()
    events: tuple[Event, ...] = ()
    twins: Mapping[str, Sums] = {}
    uses: tuple[Use, ...] = ()
    n: int = 0
    unsure: bool = False


class Opinion(Struct, frozen=True):
    """Feedback on an answer: ``metric`` and its value in millionths, from ``source``."""

    id: str
    at_ms: int
    metric: str
    value_micro: int
    source: str


class Change(Struct, frozen=True):
    """A change of what is not append-only: a statement of ``directory`` or ``replays``, its row."""

    sql: str
    row: Sequence[Any]


Entry = Hold | Decided | Call | Settlement | Opinion | Change

"""A request that is not settled: what it asked for, what was granted, called and written.

It is priced to its end by the models of the configuration that it began with.

Invariant: a hold counts as granted only once it is known to be in the ledger. This module does not
know the writer or SQL.
"""

import time
from collections.abc import Mapping

from msgspec import Struct, field, structs

from turnout.catalog import Catalog
from turnout.core import Bound, BudgetExceeded, Decision, Request
from turnout.ledger.account import Recorded
from turnout.ledger.charges import Spent, spent_of, uses
from turnout.ledger.entries import Call, Charge, Hold, Settlement
from turnout.ledger.ticket import Ticket
from turnout.ledger.twins import extremes_of


class Models(Struct, frozen=True, kw_only=True):
    """What calls are priced by, and what answers are compared with."""

    all: Catalog
    chat: Catalog  # vectors are compared with no other model's answer, and no stand-in gives them
    extremes: Mapping[str, str]

    @classmethod
    def from_catalog(cls, catalog: Catalog) -> "Models":
        """Those of a catalogue."""
        chat = catalog.only("chat")
        return cls(all=catalog, chat=chat, extremes=extremes_of(chat))

    def is_chat(self, deployment: str | None) -> bool:
        """Whether a deployment answers, or none was chosen."""
        return deployment is None or deployment in self.chat.deployments


class OpenRequest(Struct, kw_only=True):
    """What is known of a request, and what of that is written already."""

    request: Request
    hold: Hold
    models: Models
    lease_until: float = 0.0
    breaks: int = 0  # the inbox's, when it was held
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    granted: Hold | None = None  # the hold as it is known to be in the ledger
    uncertain: tuple[Charge, ...] = ()  # of changes that may have been written
    pending: Ticket | None = None  # its latest change, until the result is known
    decision: Decision | None = None
    recorded: list[Recorded] = field(default_factory=list)
    tickets: dict[int, Ticket] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def spent(self) -> list[Spent]:
        """What its calls have used so far."""
        return spent_of(call for _, call in self.recorded)

    def is_unsure(self, breaks: int) -> bool:
        """Whether the ledger may have less or more of its hold than is known, or none any more."""
        return bool(self.uncertain) or self.has_lapsed or breaks != self.breaks

    @property
    def has_lapsed(self) -> bool:
        """Whether its hold may have been freed."""
        return time.monotonic() >= self.lease_until

    @property
    def is_pending(self) -> bool:
        """Whether the latest change of the hold may yet be refused."""
        return self.pending is not None and not self.pending.is_resolved

    def take_result(self) -> bool:
        """Take over the result of the hold's latest change. Returns whether a hold was granted."""
        ticket, self.pending = self.pending, None
        if ticket is not None and ticket.error is None:
            self.granted, self.uncertain = self.hold, ()
        elif self.granted is not None:
            if ticket is not None and not isinstance(ticket.error, BudgetExceeded):
                self.uncertain += self.hold.charges
            self.hold = self.granted
        return self.granted is not None

    def held(self) -> tuple[Charge, ...]:
        """What the ledger has of it, each account once; all it may have, where that is unsure."""
        known = self.granted.charges if self.granted is not None else ()
        if not (known or self.uncertain):
            return ()
        return tuple({(c.account, c.window): c for c in (*self.uncertain, *known)}.values())

    def unwritten(self) -> list[Call]:
        """The calls whose own entries were not written, or not yet."""
        of = self.tickets.get
        return [c for _, c in self.recorded if (t := of(c.n)) is None or t.error is not None]

    def with_uses(self, end: Settlement) -> Settlement:
        """The settlement with how much of the hold's charges was used; most requests have none."""
        if not (charges := self.held()):
            return end
        held = [(c.account, c.window, c.amount or 0) for c in charges]
        return structs.replace(end, uses=uses(held, self.spent), unsure=bool(self.uncertain))

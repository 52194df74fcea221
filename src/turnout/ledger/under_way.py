"""A request under way, as the ledger knows it: what is asked for, granted, called and written.

It is priced to its end by the models of the configuration that it began with.

Invariant: a hold counts as granted only once it is known to be in the ledger. This module does not
know the writer or SQL.
"""

from collections.abc import Mapping

from msgspec import Struct, field, structs

from turnout.catalog import Catalog
from turnout.core import Bound, BudgetExceeded, Decision, Request
from turnout.ledger.account import Recorded
from turnout.ledger.charges import Spent, spent_of, uses
from turnout.ledger.entries import Call, Charge, Hold, Settlement
from turnout.ledger.ticket import Ticket
from turnout.ledger.twins import extremes


class Models(Struct, frozen=True, kw_only=True):
    """What calls are priced by, and what answers are compared with."""

    every: Catalog
    chat: Catalog  # vectors are compared with no other model's answer, and no stand-in gives them
    marks: Mapping[str, str]

    @classmethod
    def of(cls, catalog: Catalog) -> "Models":
        """Those of a catalogue."""
        chat = catalog.only("chat")
        return cls(every=catalog, chat=chat, marks=extremes(chat))

    def is_chat(self, deployment: str | None) -> bool:
        """Whether a deployment answers, or none was chosen."""
        return deployment is None or deployment in self.chat.deployments


class UnderWay(Struct, kw_only=True):
    """What is known of a request, and what of that is written already."""

    request: Request
    hold: Hold
    models: Models
    lease_until: float = 0.0
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    granted: Hold | None = None  # the hold as it is known to be in the ledger
    maybe: tuple[Charge, ...] = ()  # of changes of which nobody heard what became
    asking: Ticket | None = None  # its latest change, until it is known what became of that
    decision: Decision | None = None
    recorded: list[Recorded] = field(default_factory=list)
    tickets: dict[int, Ticket] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def spent(self) -> list[Spent]:
        """What its calls have used so far."""
        return spent_of(call for _, call in self.recorded)

    @property
    def unknown(self) -> bool:
        """Whether the latest change of the hold may yet be refused."""
        return self.asking is not None and not self.asking.told

    def look(self) -> bool:
        """Take in what became of the hold's latest change; whether there is a hold at all."""
        ticket, self.asking = self.asking, None
        if ticket is not None and ticket.error is None:
            self.granted, self.maybe = self.hold, ()
        elif self.granted is not None:
            if ticket is not None and not isinstance(ticket.error, BudgetExceeded):
                self.maybe += self.hold.charges
            self.hold = self.granted
        return self.granted is not None

    def held(self) -> tuple[Charge, ...]:
        """What the ledger has of it, each account once; all it may have, where that is unsure."""
        known = self.granted.charges if self.granted is not None else ()
        return tuple({(c.account, c.window): c for c in (*self.maybe, *known)}.values())

    def unwritten(self) -> list[Call]:
        """The calls whose own entries were not written, or not yet."""
        failed = {n for n, ticket in self.tickets.items() if ticket.error is not None}
        return [c for _, c in self.recorded if c.n not in self.tickets or c.n in failed]

    def ended(self, end: Settlement) -> Settlement:
        """The settlement with what became of the hold's charges; most requests have none."""
        held = [(c.account, c.window, c.amount or 0) for c in self.held()]
        if not held:
            return end
        return structs.replace(end, uses=uses(held, self.spent), unsure=bool(self.maybe))

"""How a caller waits for its entry to be written, and how it is woken.

Invariant: each caller is told once, and each event loop is woken by one call. This module does not
know what is written.
"""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Awaitable, Generator, Sequence

from turnout.core import BudgetExceeded, RouterError
from turnout.ledger.entries import Entry

Refused = dict[int, BudgetExceeded]  # by the entry's place in its batch


class _Done:
    """Nothing to wait for."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


DONE: Awaitable[None] = _Done()


class Ticket:
    """A caller that waits for its entry to be written."""

    __slots__ = ("entry", "error", "future", "loop", "ready", "told")

    def __init__(self, entry: Entry | None, loop: asyncio.AbstractEventLoop | None) -> None:
        self.entry = entry
        self.loop = loop
        self.future = loop.create_future() if loop else None
        self.ready = None if loop else threading.Event()
        self.error: RouterError | None = None
        self.told = False  # whether it is known what became of the entry

    def tell(self, error: RouterError | None) -> None:
        """Tell a blocking caller what became of the entry."""
        self.error, self.told = error, True
        if self.ready is not None:
            self.ready.set()

    def end(self) -> RouterError | None:
        """Block until the entry is written or refused. Returns why it was refused, or None."""
        if self.ready is not None:
            self.ready.wait()
        return self.error

    def wait(self) -> None:
        """Block until written. Raises LedgerError."""
        error = self.end()
        if error is not None:
            raise error

    def written(self) -> Awaitable[None]:
        """An awaitable that is done when the entry is written. Raises LedgerError."""
        return DONE if self.future is None else self.future


def tell_each(tickets: Sequence[Ticket], refused: Refused) -> None:
    """Wake the callers; ``refused`` counts places among the tickets that have an entry."""
    if not refused:
        tell(tickets)
        return
    asking = [ticket for ticket in tickets if ticket.entry is not None]
    tell([t for t in tickets if t.entry is None])
    tell([t for place, t in enumerate(asking) if place not in refused])
    for place, error in refused.items():
        tell([asking[place]], error)


def tell(tickets: Sequence[Ticket], error: RouterError | None = None) -> None:
    """Wake the callers, each event loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Ticket]] = defaultdict(list)
    for ticket in tickets:
        ticket.tell(error)
        if ticket.loop is not None:
            by_loop[ticket.loop].append(ticket)
    for loop, waiting in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, waiting)
        except RuntimeError:
            continue  # the caller's loop has ended, nobody waits


def _resolve(tickets: Sequence[Ticket]) -> None:
    for ticket in tickets:
        future = ticket.future
        if future is None or future.done():
            continue
        if ticket.error is None:
            future.set_result(None)
        else:
            future.set_exception(ticket.error)
            future.exception()  # a caller who left does not make it an unseen one

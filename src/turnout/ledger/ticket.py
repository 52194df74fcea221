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

    __slots__ = ("entry", "error", "future", "is_resolved", "loop", "ready")

    def __init__(self, entry: Entry | None, loop: asyncio.AbstractEventLoop | None) -> None:
        self.entry = entry
        self.loop = loop
        self.future = loop.create_future() if loop else None
        self.ready = None if loop else threading.Event()
        self.error: RouterError | None = None
        self.is_resolved = False  # whether the entry was written or refused

    def resolve(self, error: RouterError | None) -> None:
        """Store the result, and wake a blocking caller."""
        self.error, self.is_resolved = error, True
        if self.ready is not None:
            self.ready.set()

    def wait_for_error(self) -> RouterError | None:
        """Block until the entry is written or refused. Returns why it was refused, or None."""
        if self.ready is not None:
            self.ready.wait()
        return self.error

    def wait(self) -> None:
        """Block until written. Raises LedgerError."""
        error = self.wait_for_error()
        if error is not None:
            raise error

    def written(self) -> Awaitable[None]:
        """An awaitable that is done when the entry is written. Raises LedgerError."""
        return DONE if self.future is None else self.future


def resolve_batch(tickets: Sequence[Ticket], refused: Refused) -> None:
    """Wake the callers; ``refused`` counts places among the tickets that have an entry."""
    if not refused:
        resolve_all(tickets)
        return
    with_entry = [ticket for ticket in tickets if ticket.entry is not None]
    resolve_all([t for t in tickets if t.entry is None])
    resolve_all([t for index, t in enumerate(with_entry) if index not in refused])
    for index, error in refused.items():
        resolve_all([with_entry[index]], error)


def resolve_all(tickets: Sequence[Ticket], error: RouterError | None = None) -> None:
    """Wake the callers, each event loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Ticket]] = defaultdict(list)
    for ticket in tickets:
        ticket.resolve(error)
        if ticket.loop is not None:
            by_loop[ticket.loop].append(ticket)
    for loop, waiting in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve_futures, waiting)
        except RuntimeError:
            continue  # the caller's loop has ended, nobody waits


def _resolve_futures(tickets: Sequence[Ticket]) -> None:
    for ticket in tickets:
        future = ticket.future
        if future is None or future.done():
            continue
        if ticket.error is None:
            future.set_result(None)
        else:
            future.set_exception(ticket.error)
            future.exception()  # a caller who left does not make it an unseen one

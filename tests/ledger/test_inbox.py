"""What waits for the writing thread comes together, in order, and none is left behind."""

import asyncio
import threading

import pytest

from turnout.core import LedgerError
from turnout.ledger.entries import Change
from turnout.ledger.inbox import BATCH_TICKETS, Inbox
from turnout.ledger.ticket import Ticket, resolve_all


def _entry(number: int) -> Change:
    return Change("", (number,))


class _Desk:
    """Takes from an inbox as a writer does, and keeps what came together."""

    def __init__(self) -> None:
        self.taken: list[list[int]] = []
        self.open = threading.Event()
        self.inbox = Inbox("the desk", self._work)

    def all(self) -> list[int]:
        """What was taken, in order."""
        return [number for batch in self.taken for number in batch]

    def _work(self) -> None:
        self.open.wait(5)
        while not self.inbox.ended:
            tickets = self.inbox.take(5)
            if tickets:
                self.taken.append([t.entry.row[0] for t in tickets])  # type: ignore[union-attr]
                resolve_all(tickets)


def test_what_a_loop_brings_in_one_turn_comes_together() -> None:
    """The thread is woken once a turn, not once an entry."""
    desk = _Desk()
    desk.open.set()

    async def turns() -> None:
        loop = asyncio.get_running_loop()
        await desk.inbox.submit(_entry(0), loop).written()
        for start in (1, 11):
            tickets = [desk.inbox.submit(_entry(n), loop) for n in range(start, start + 10)]
            await asyncio.gather(*(ticket.written() for ticket in tickets))

    asyncio.run(turns())
    desk.inbox.close()
    assert desk.taken == [[0], list(range(1, 11)), list(range(11, 21))]


def test_callers_without_a_loop_are_told_as_well() -> None:
    """Threads that block, and what another process sent."""
    desk = _Desk()
    desk.open.set()
    for number in range(3):
        desk.inbox.submit(_entry(number)).wait()
    desk.inbox.put([Ticket(_entry(3), None), Ticket(_entry(4), None)])
    desk.inbox.close()
    assert desk.all() == [0, 1, 2, 3, 4]


def test_closing_takes_what_a_loop_has_not_handed_over_yet() -> None:
    """An end in the middle of a turn loses nothing."""
    desk = _Desk()

    async def leaves() -> None:
        loop = asyncio.get_running_loop()
        for number in range(5):
            desk.inbox.submit(_entry(number), loop)
        desk.open.set()
        desk.inbox.close()

    asyncio.run(leaves())
    assert desk.all() == [0, 1, 2, 3, 4]


def test_a_crowd_is_taken_in_batches() -> None:
    """So that no commit is endless."""
    desk = _Desk()
    for number in range(3 * BATCH_TICKETS):
        desk.inbox.submit(_entry(number))
    desk.open.set()
    desk.inbox.close()
    assert [len(batch) for batch in desk.taken] == [BATCH_TICKETS] * 3
    assert desk.all() == list(range(3 * BATCH_TICKETS))


def test_nothing_is_put_in_after_the_end() -> None:
    """Whoever comes too late hears so."""
    desk = _Desk()
    desk.open.set()
    desk.inbox.submit(_entry(0)).wait()
    desk.inbox.close()
    with pytest.raises(LedgerError, match="the desk is closed"):
        desk.inbox.submit(_entry(1))

    async def late() -> None:
        with pytest.raises(LedgerError, match="the desk is closed"):
            desk.inbox.submit(_entry(1), asyncio.get_running_loop())

    asyncio.run(late())
    assert desk.taken == [[0]]

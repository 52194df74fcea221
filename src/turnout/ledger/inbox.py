"""The queue of entries to write, and the thread that takes from it.

Waking the thread for every entry would make it compete with the event loop for the processor and
the interpreter. So entries that are submitted in one turn of an event loop are handed over
together, at the end of that turn.

Invariant: what was put is taken once, in the order in which each caller put it; nothing is put
after the end. This module does not know what is written.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from turnout.core import LedgerError
from turnout.ledger.entries import Entry
from turnout.ledger.ticket import Ticket

BATCH_TICKETS = 1024  # tickets at which no more are waited for


class Inbox:
    """Tickets of any thread and event loop, for the one thread that runs ``work``.

    The thread begins with the first ticket; ``work`` takes until ``ended``. ``where`` names what is
    written to, for a person to read.
    """

    def __init__(self, where: str, work: Callable[[], None]) -> None:
        self.ended = False
        self.breaks = 0  # how often another process may have freed what this one holds
        self._where, self._work = where, work
        self._queue: SimpleQueue[Sequence[Ticket] | None] = SimpleQueue()
        self._turns: dict[asyncio.AbstractEventLoop, list[Ticket]] = {}
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._closed = False

    def submit(self, entry: Entry, loop: asyncio.AbstractEventLoop | None = None) -> Ticket:
        """Submit an entry; ``loop`` is the caller's running loop, None for a caller that blocks.

        Raises LedgerError when closed.
        """
        ticket = Ticket(entry, loop)
        if loop is None or self._thread is None or self._closed:
            self.put([ticket])
        elif (turn := self._turns.get(loop)) is not None:
            turn.append(ticket)
        else:
            self._turns[loop] = [ticket]
            loop.call_soon(self._hand_over, loop)
        return ticket

    def put(self, tickets: Sequence[Ticket]) -> None:
        """Submit several at once. Raises LedgerError when closed."""
        if self._thread is None:
            self._start_thread()
        self._queue.put(tickets)

    def close(self) -> None:
        """Accept nothing more, and wait until the thread has ended."""
        with self._starting:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            for loop in list(self._turns):
                self._hand_over(loop)
            self._queue.put(None)
            thread.join()

    def take(self, timeout_s: float | None = None) -> list[Ticket]:
        """Wait for a ticket, and take all there are; none after ``timeout_s`` or at the end."""
        found: list[Ticket] = []
        try:
            batch = self._queue.get(timeout=timeout_s)
            while batch is not None:
                found += batch
                if len(found) >= BATCH_TICKETS:
                    return found
                batch = self._queue.get_nowait()
        except Empty:
            return found
        self.ended = True
        return found

    def _start_thread(self) -> None:
        with self._starting:
            if self._closed:
                raise LedgerError(f"{self._where} is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
                self._thread.start()

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        turn = self._turns.pop(loop, None)
        if turn:
            self._queue.put(turn)

"""One ledger file for several processes: its owner writes what the others send it.

The owner listens on a Unix socket that only its user can open, with a secret that it says beside
the file (see ``sign``). What a process sends is written in the same
batches, by the same thread, as if it had been told in the owner.

Invariant: a process is told that its entry is written after the owner's commit, never before; what
it holds is freed when its connection ends, for it can settle nothing more. The other side is in
``remote``. This module does not know databases.
"""

import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from queue import SimpleQueue

from turnout.core import LedgerError
from turnout.ledger.ledger import Ledger
from turnout.ledger.remote import LOST, hang_up
from turnout.ledger.ticket import Ticket

GRACE_S = 3.0  # how long an owner that starts waits for the processes of the last one
_END_S = 1.0
Passed = Sequence[tuple[int, Ticket]]


def hosted(ledger: Ledger) -> "LedgerHost | None":
    """A host for whoever else opens the ledger's file; None where no socket can be had."""
    store, secret = ledger.store, secrets.token_bytes(32)
    beside = f"{store.where}.socket"
    with suppress(OSError):
        Path(beside).unlink()  # that of an owner who was killed
    for address in (beside, None):  # the paths of sockets are short
        with suppress(OSError):
            host = LedgerHost(ledger, address, secret)
            ledger.owners.grace_s = GRACE_S if store.left else 0.0
            host.tell = partial(store.invite, host.address, secret)
            host.tell(guests=store.left)
            return host
    return None


class LedgerHost:
    """Lets other processes write to ``ledger``; ``address`` is the socket's path.

    ``tell`` is told whether any are there.
    """

    def __init__(self, ledger: Ledger, address: str | None, secret: bytes) -> None:
        self._ledger = ledger
        ledger.owners.grace_s = GRACE_S
        self.tell: Callable[..., object] = _nobody
        self._listener = Listener(address, "AF_UNIX", backlog=64, authkey=secret)
        self.guests: set[Connection] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._accept, name="ledger-host", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens."""
        return str(self._listener.address)

    def close(self) -> None:
        """Take no new process, and leave those that are there."""
        self._closed = True
        with suppress(OSError), socket.socket(socket.AF_UNIX) as knock:
            knock.connect(self.address)  # wakes the thread that accepts
        self._thread.join(_END_S)
        self._listener.close()
        for guest in list(self.guests):
            hang_up(guest)

    def _accept(self) -> None:
        while not self._closed:
            try:
                guest = self._listener.accept()
            except LOST:
                continue
            self.guests.add(guest)
            threading.Thread(target=self._serve, args=(guest,), daemon=True).start()

    def _serve(self, guest: Connection) -> None:
        """One process, until it leaves."""
        passed: SimpleQueue[Passed | None] = SimpleQueue()
        owner = ""
        try:
            owner = guest.recv()
            self._ledger.owners.guests.add(owner)
            self.tell(guests=True)
            threading.Thread(target=_answer, args=(guest, passed), daemon=True).start()
            while True:
                entries = guest.recv()
                tickets = [(number, Ticket(entry, None)) for number, entry in entries]
                self._ledger.submit([ticket for _, ticket in tickets])
                passed.put(tickets)
        except (*LOST, LedgerError):
            pass
        finally:
            passed.put(None)
            self._ledger.owners.forget(owner)
            self.guests.discard(guest)
            guest.close()
            if not self._closed:  # who is left at the end comes back to the next owner
                self.tell(guests=bool(self.guests))


def _nobody(*, guests: bool) -> None:
    """Nobody reads it."""


def _answer(guest: Connection, passed: "SimpleQueue[Passed | None]") -> None:
    """Tells a process what became of what it sent, all that came together at a time."""
    while (tickets := passed.get()) is not None:
        # The last is written last: this thread is woken once for them all.
        ends = [(number, ticket.end()) for number, ticket in reversed(tickets)]
        try:
            guest.send(ends)
        except LOST:
            return

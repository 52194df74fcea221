"""One ledger file for several processes: its owner writes what the others send it.

The owner listens on a Unix socket that only its user can open, with a secret that it hands to its
children. What a process sends is written in the same batches, by the same thread, as if it had been
told in the owner.

Invariant: a process is told that its entry is written after the owner's commit, never before; what
it holds is freed when its connection ends, for it can settle nothing more. A settlement that could
not be sent is sent again when the owner is back. This module does not know databases.
"""

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from queue import SimpleQueue

from turnout.core import LedgerError, RouterError
from turnout.ledger.entries import Settlement
from turnout.ledger.inbox import Inbox
from turnout.ledger.ledger import Ledger
from turnout.ledger.ticket import Ticket, tell

AGAIN_S = 0.2
GRACE_S = 3.0  # how long an owner that starts waits for the processes of the last one
Passed = Sequence[tuple[int, Ticket]]
_LOST = (EOFError, OSError, AuthenticationError)


class LedgerHost:
    """Lets other processes write to ``ledger``; ``address`` is the socket's path."""

    def __init__(self, ledger: Ledger, address: str, secret: bytes) -> None:
        self._ledger = ledger
        ledger.owners.grace_s = GRACE_S
        self._listener = Listener(address, "AF_UNIX", backlog=64, authkey=secret)
        self.guests: set[Connection] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._accept, name="ledger-host", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no new process, and leave those that are there."""
        self._closed = True
        self._listener.close()
        for guest in list(self.guests):
            with suppress(OSError), socket.socket(fileno=os.dup(guest.fileno())) as link:
                link.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads

    def _accept(self) -> None:
        while not self._closed:
            try:
                guest = self._listener.accept()
            except _LOST:
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
            threading.Thread(target=_answer, args=(guest, passed), daemon=True).start()
            while True:
                entries = guest.recv()
                tickets = [(number, Ticket(entry, None)) for number, entry in entries]
                self._ledger.submit([ticket for _, ticket in tickets])
                passed.put(tickets)
        except (*_LOST, LedgerError):
            pass
        finally:
            passed.put(None)
            self._ledger.owners.forget(owner)
            self.guests.discard(guest)
            guest.close()


def _answer(guest: Connection, passed: "SimpleQueue[Passed | None]") -> None:
    """Tells a process what became of what it sent, all that came together at a time."""
    while (tickets := passed.get()) is not None:
        # The last is written last: this thread is woken once for them all.
        ends = [(number, ticket.end()) for number, ticket in reversed(tickets)]
        try:
            guest.send(ends)
        except _LOST:
            return


class RemoteWriter:
    """Stands for the owner's writer in another process; ``owner`` names this one's holds."""

    def __init__(self, address: str, secret: bytes, owner: str) -> None:
        self._address, self._secret, self._owner = address, secret, owner
        self.inbox = Inbox("the ledger", self._send)
        self._waiting: dict[int, Ticket] = {}
        self._owed: deque[Settlement] = deque()
        self._number = 0
        self._dropping = threading.Lock()
        self._host: Connection | None = None

    def start(self) -> None:
        """Connect now. Raises LedgerError."""
        if self._connected() is None:
            raise LedgerError("the ledger's owner does not answer")

    def close(self) -> None:
        """Send what is queued and wait until it is written, then leave."""
        self.inbox.close()

    def _send(self) -> None:
        while not self.inbox.ended:
            # An owner that went away is looked for until it is back, so that it knows of us.
            alone = self._owed or self._host is None
            self._pass_on(self.inbox.take(AGAIN_S if alone else None))
        patience = time.monotonic() + 5
        while self._waiting and time.monotonic() < patience:
            time.sleep(0.005)
        if self._host is not None:
            self._host.close()

    def _pass_on(self, tickets: list[Ticket]) -> None:
        host = self._connected()
        if host is None:
            self._lose(tickets)
            return
        owed = []
        with suppress(IndexError):
            while True:
                owed.append(Ticket(self._owed.popleft(), None))
        numbered = []
        for ticket in (*owed, *tickets):
            self._number += 1
            self._waiting[self._number] = ticket
            numbered.append((self._number, ticket.entry))
        try:
            if numbered:
                host.send(numbered)
        except _LOST:
            self._drop(host)
        if self._host is not host:
            waiting = (self._waiting.pop(number, None) for number, _ in numbered)
            self._lose([ticket for ticket in waiting if ticket is not None])

    def _connected(self) -> Connection | None:
        if self._host is not None:
            return self._host
        try:
            host = Client(self._address, "AF_UNIX", authkey=self._secret)
            host.send(self._owner)
        except _LOST:
            return None
        self._host = host
        threading.Thread(target=self._hear, args=(host,), daemon=True).start()
        return host

    def _hear(self, host: Connection) -> None:
        """Wake those whose entries are written."""
        try:
            while True:
                heard: Sequence[tuple[int, RouterError | None]] = host.recv()
                written = []
                for number, error in heard:
                    ticket = self._waiting.pop(number, None)
                    if ticket is not None and error is None:
                        written.append(ticket)
                    elif ticket is not None:
                        self._end(ticket, error)
                tell(written)
        except (*_LOST, TypeError):
            self._drop(host)

    def _drop(self, host: Connection) -> None:
        """The owner is gone: nothing that waits is known to be written."""
        with self._dropping:
            if self._host is not host:
                return
            self._host = None
            lost = [self._waiting.pop(number) for number in sorted(self._waiting)]
        host.close()
        self._lose(lost)
        with suppress(LedgerError):
            self.inbox.put([Ticket(None, None)])  # wakes the thread, which looks for it again

    def _lose(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            self._end(ticket, LedgerError("the ledger's owner does not answer"))

    def _end(self, ticket: Ticket, error: RouterError | None) -> None:
        if isinstance(error, LedgerError) and isinstance(ticket.entry, Settlement):
            self._owed.append(ticket.entry)
        tell([ticket], error)

"""A ledger's writer in another process: sends its entries to the file's owner (see ``host``).

Invariant: an entry counts as written after the owner's commit, never before; a settlement that
could not be sent is sent again when the owner is back. This module does not know databases.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection

from turnout.core import LedgerError, RouterError
from turnout.ledger.entries import Settlement
from turnout.ledger.inbox import Inbox
from turnout.ledger.ticket import Ticket, resolve_all

RETRY_S = 0.2
# TypeError: another thread closed the connection between the check and the system call.
DISCONNECTED = (EOFError, OSError, AuthenticationError, TypeError)


class RemoteWriter:
    """The owner's writer as seen from another process; ``owner`` names this process's holds."""

    def __init__(self, address: str, secret: bytes, owner: str) -> None:
        self._address, self._secret, self._owner = address, secret, owner
        self.inbox = Inbox("the ledger", self._send)
        self._waiting: dict[int, Ticket] = {}
        self._owed: deque[Settlement] = deque()
        self._number = 0
        self._disconnecting = threading.Lock()
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
            # A lost owner is looked for until it is back, so that it knows this process.
            must_retry = self._owed or self._host is None
            self._forward(self.inbox.take(RETRY_S if must_retry else None))
        until = time.monotonic() + 5
        while self._waiting and time.monotonic() < until:
            time.sleep(0.005)
        if self._host is not None:
            self._host.close()

    def _forward(self, tickets: list[Ticket]) -> None:
        host = self._connected()
        if host is None:
            self._fail_all(tickets)
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
        except DISCONNECTED:
            self._disconnect(host)
        if self._host is not host:
            waiting = (self._waiting.pop(number, None) for number, _ in numbered)
            self._fail_all([ticket for ticket in waiting if ticket is not None])

    def _connected(self) -> Connection | None:
        if self._host is not None:
            return self._host
        try:
            host = Client(self._address, "AF_UNIX", authkey=self._secret)
            host.send(self._owner)
        except DISCONNECTED:
            return None
        self._host = host
        threading.Thread(target=self._receive, args=(host,), daemon=True).start()
        return host

    def _receive(self, host: Connection) -> None:
        """Wake the callers whose entries are written."""
        try:
            while True:
                results: Sequence[tuple[int, RouterError | None]] = host.recv()
                written = []
                for number, error in results:
                    ticket = self._waiting.pop(number, None)
                    if ticket is not None and error is None:
                        written.append(ticket)
                    elif ticket is not None:
                        self._resolve(ticket, error)
                resolve_all(written)
        except DISCONNECTED:
            self._disconnect(host)

    def _disconnect(self, host: Connection) -> None:
        """The owner is gone: none of the waiting entries is known to be written."""
        with self._disconnecting:
            if self._host is not host:
                return
            self._host = None
            self.inbox.breaks += 1
            unanswered = [self._waiting.pop(number) for number in sorted(self._waiting)]
        host.close()
        self._fail_all(unanswered)
        with suppress(LedgerError):
            self.inbox.put([Ticket(None, None)])  # wakes the thread, which looks for it again

    def _fail_all(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            self._resolve(ticket, LedgerError("the ledger's owner does not answer"))

    def _resolve(self, ticket: Ticket, error: RouterError | None) -> None:
        if isinstance(error, LedgerError) and isinstance(ticket.entry, Settlement):
            self._owed.append(ticket.entry)
        resolve_all([ticket], error)

"""A ledger's writer in another process: sends what it is told to the file's owner (see ``shared``).

Invariant: what is told counts as written after the owner's commit, never before; what was sent to
an owner that went away is given back. This module does not know databases.
"""

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection

from turnout.core import LedgerError, RouterError
from turnout.ledger.entries import Settlement
from turnout.ledger.store import Owned
from turnout.ledger.ticket import Ticket, tell

PATIENCE_S = 5.0
LOST = (EOFError, OSError, AuthenticationError)


def hang_up(connection: Connection) -> None:
    """Ends a connection; the thread that reads from it is woken, and closes it."""
    with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as link:
        link.shutdown(socket.SHUT_RDWR)


class RemoteWriter:
    """Stands for the owner's writer in another process; ``own`` names this one's holds.

    ``give_back`` is told what was sent to an owner that went away, at least one ticket; ``owed``
    gets the settlements that the owner could not write. Raises LedgerError where it does not
    answer. Methods are called by one thread.
    """

    def __init__(
        self,
        found: Owned,
        own: str,
        give_back: Callable[[Sequence[Ticket]], None],
        owed: deque[Settlement],
    ) -> None:
        self._give_back = give_back
        self._owed = owed
        self._waiting: dict[int, Ticket] = {}
        self._number = 0
        self._dropping = threading.Lock()
        try:
            self._host = Client(found.address, "AF_UNIX", authkey=found.secret)
            self._host.send(own)
        except LOST as error:
            raise LedgerError("the ledger's owner does not answer") from error
        self.connected = True
        threading.Thread(target=self._hear, name="ledger-owner", daemon=True).start()

    def send(self, tickets: Sequence[Ticket]) -> None:
        """Have these written; those who wait are told when they are."""
        numbered = []
        for ticket in tickets:
            self._number += 1
            self._waiting[self._number] = ticket
            numbered.append((self._number, ticket.entry))
        try:
            self._host.send(numbered)
        except LOST:
            self._drop()
        if not self.connected:  # it was dropped before these were among those that wait
            self._return([number for number, _ in numbered])

    def close(self) -> None:
        """Wait until what was sent is written, then leave."""
        patience = time.monotonic() + PATIENCE_S
        while self._waiting and time.monotonic() < patience:
            time.sleep(0.005)
        hang_up(self._host)
        self._drop()

    def _hear(self) -> None:
        """Wake those whose entries are written."""
        try:
            while True:
                heard: Sequence[tuple[int, RouterError | None]] = self._host.recv()
                written = []
                for number, error in heard:
                    ticket = self._waiting.pop(number, None)
                    if ticket is not None and error is None:
                        written.append(ticket)
                    elif ticket is not None:
                        self._end(ticket, error)
                tell(written)
        except (*LOST, TypeError):
            self._drop()
        finally:
            self._host.close()

    def _drop(self) -> None:
        """The owner is gone: nothing that waits is known to be written."""
        with self._dropping:
            was, self.connected = self.connected, False
        self._return(sorted(self._waiting))
        if was:
            self._give_back([Ticket(None, None)])  # whoever gets it looks for the next owner

    def _return(self, numbers: Sequence[int]) -> None:
        found = [self._waiting.pop(number, None) for number in numbers]
        if tickets := [ticket for ticket in found if ticket is not None]:
            self._give_back(tickets)

    def _end(self, ticket: Ticket, error: RouterError | None) -> None:
        if isinstance(error, LedgerError) and isinstance(ticket.entry, Settlement):
            self._owed.append(ticket.entry)
        tell([ticket], error)

"""One ledger file for several processes: its owner writes what the others send it.

The owner listens on a Unix socket that only its user can open, with a secret that it hands to its
children. The entries of other processes are written in the same batches, by the same thread, as the
owner's own.

Invariant: a process is told that its entry is written after the owner's commit, never before; its
holds are freed when its connection ends, since it can settle nothing more. The other side is in
``remote``. This module does not know databases.
"""

import os
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Listener
from queue import SimpleQueue

from turnout.core import LedgerError
from turnout.ledger.ledger import Ledger
from turnout.ledger.remote import DISCONNECTED
from turnout.ledger.ticket import Ticket

GRACE_S = 3.0
NumberedTickets = Sequence[tuple[int, Ticket]]


class LedgerHost:
    """Lets other processes write to ``ledger``; ``address`` is the socket's path.

    ``grace_s`` is how long an owner that starts waits for the processes of the last one.
    """

    def __init__(
        self, ledger: Ledger, address: str, secret: bytes, grace_s: float = GRACE_S
    ) -> None:
        self._ledger = ledger
        ledger.owners.grace_s = grace_s
        self._listener = Listener(address, "AF_UNIX", backlog=64, authkey=secret)
        self.guests: set[Connection] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._accept, name="ledger-host", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no new process, and disconnect the others."""
        self._closed = True
        self._listener.close()
        for guest in list(self.guests):
            with suppress(OSError), socket.socket(fileno=os.dup(guest.fileno())) as link:
                link.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads

    def _accept(self) -> None:
        while True:
            try:
                guest = self._listener.accept()
            except DISCONNECTED:
                if self._closed:
                    return
                continue
            self.guests.add(guest)
            if self._closed:  # since it was accepted; ``close`` may not have seen it
                guest.close()
                return
            threading.Thread(target=self._serve, args=(guest,), daemon=True).start()

    def _serve(self, guest: Connection) -> None:
        """One process, until it leaves."""
        submitted: SimpleQueue[NumberedTickets | None] = SimpleQueue()
        owner = ""
        try:
            owner = guest.recv()
            self._ledger.owners.guests.add(owner)
            threading.Thread(target=_send_results, args=(guest, submitted), daemon=True).start()
            while True:
                entries = guest.recv()
                tickets = [(number, Ticket(entry, None)) for number, entry in entries]
                self._ledger.submit([ticket for _, ticket in tickets])
                submitted.put(tickets)
        except (*DISCONNECTED, LedgerError):
            pass
        finally:
            submitted.put(None)
            self._ledger.owners.guest_ended(owner)
            self.guests.discard(guest)
            guest.close()


def _send_results(guest: Connection, submitted: "SimpleQueue[NumberedTickets | None]") -> None:
    """Sends a process the results of its entries, all that came together at a time."""
    while (tickets := submitted.get()) is not None:
        # The last is written last: this thread is woken once for them all.
        results = [(number, ticket.wait_for_error()) for number, ticket in reversed(tickets)]
        try:
            guest.send(results)
        except DISCONNECTED:
            return

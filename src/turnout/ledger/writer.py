"""One thread that writes for all callers: entries that wait together are committed together.

Invariant: a caller is told that its entry is written only after the commit that holds it. An entry
that must not be lost is tried again when the store has recovered. This module does not know SQL or
databases.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from msgspec import structs

from turnout.core import ConfigError, LedgerError, RouterError
from turnout.ledger.balances import Account, Balance, Balances, accounts_of
from turnout.ledger.correction import correction
from turnout.ledger.entries import Decided, Entry, Hold, Settlement
from turnout.ledger.inbox import Inbox
from turnout.ledger.orphans import with_stored_amounts, written_calls
from turnout.ledger.rows import Batch, Statements
from turnout.ledger.store import Conflict, Store, StoreFailure
from turnout.ledger.ticket import Refused, Ticket, resolve_all, resolve_batch

RECOVERY_PAUSE_S = 0.25
SWEEP_S = 5.0
_HOLD = "SELECT 1 FROM holds WHERE id = $1"
# What cannot be read back does not go away by itself; the other callers get an error all the same.
_FAILURES = (StoreFailure, ConfigError)


class Writer:
    """Owns the store. With ``idle_s`` it closes the store when nothing is under way.

    ``upkeep`` is called on the writer's thread, after opening (True) and now and then (False), and
    returns what is to be written: settlements of holds that nobody will settle, rows to remove.
    """

    def __init__(
        self,
        store: Store,
        *,
        upkeep: Callable[[bool], Sequence[Entry]],
        busy: Callable[[], bool] = lambda: False,
        idle_s: float | None = None,
    ) -> None:
        self._store = store
        self._upkeep = upkeep
        self._busy = busy
        self._idle_s = idle_s
        self.inbox = Inbox(store.where, self._work)
        self._owed: deque[Settlement] = deque()
        self._is_open = self._was_open = False
        self._retry_at = 0.0
        self._swept_at = 0.0
        self._failure: RouterError | None = None

    def start(self) -> None:
        """Open the store now, so that a problem shows at once. Raises RouterError."""
        ticket = Ticket(None, None)
        self.inbox.put([ticket])
        ticket.wait()

    def close(self) -> None:
        """Write what is queued, then close the store."""
        self.inbox.close()

    def _work(self) -> None:
        while not self.inbox.ended:
            tickets = self.inbox.take(min(SWEEP_S, self._idle_s or SWEEP_S))
            if tickets:
                self._write(tickets)
            elif not self.inbox.ended:
                self._idle()
        if self._owed and self._ensure_open():
            self._write_owed()
        self._store.close()

    def _idle(self) -> None:
        if not self._is_open:
            if self._owed and self._ensure_open():
                self._write_owed()
        elif self._idle_s is not None and not self._busy() and not self._owed:
            self._close_store()
        else:
            self._sweep()

    def _write(self, tickets: list[Ticket]) -> None:
        if not self._ensure_open():
            self._fail(tickets, self._failure or LedgerError(f"{self._store.where} is not open"))
            return
        if self._owed and not self._write_owed():
            self._fail(tickets, self._failure)
            return
        entries = [t.entry for t in tickets if t.entry is not None]
        try:
            refused = self._commit(entries)
        except (Conflict, _Unsure):
            self._one_by_one(tickets)
        except StoreFailure as error:
            self._mark_failed(error)
            self._fail(tickets, self._failure)
        else:
            resolve_batch(tickets, refused)
            if time.monotonic() - self._swept_at > SWEEP_S:
                self._sweep()

    def _ensure_open(self) -> bool:
        """Whether the store is open; a store that failed is tried again after a pause."""
        if self._is_open:
            return True
        if time.monotonic() < self._retry_at:
            return False
        try:
            self._store.open()
        except ConfigError as error:
            self._retry_at = time.monotonic() + RECOVERY_PAUSE_S
            # A store that worked before may work again, so that callers are told to try later.
            self._failure = _cannot_record(error) if self._was_open else error
        except StoreFailure as error:
            self._mark_failed(error)
        else:
            self._is_open = self._was_open = True
            self._failure = None
            self._sweep(opening=True)
        return self._is_open

    def _mark_failed(self, error: RouterError) -> None:
        self._close_store()
        self._retry_at = time.monotonic() + RECOVERY_PAUSE_S
        self._failure = _cannot_record(error)

    def _close_store(self) -> None:
        """Leave the store to other processes for now."""
        self._is_open = False
        self._store.close()
        self.inbox.breaks += 1

    def _fail(self, tickets: list[Ticket], error: RouterError | None) -> None:
        self._owed.extend(t.entry for t in tickets if isinstance(t.entry, Settlement))
        resolve_all(tickets, error)

    def _commit(self, entries: Sequence[Entry]) -> Refused:
        """Write a batch and its budgets in one transaction. Returns what did not fit."""
        accounts = accounts_of(entries)
        if accounts and any(map(_is_unsure, entries)):
            raise _Unsure
        refused: Refused = {}

        def statements(by_account: Mapping[Account, Balance]) -> Statements:
            balances = Balances(by_account)
            refused.update(balances.apply(entries))
            batch = Batch(entry for index, entry in enumerate(entries) if index not in refused)
            return batch.statements(balances.rows())

        if entries:
            self._store.commit(accounts, statements)
        return refused

    def _one_by_one(self, tickets: list[Ticket]) -> None:
        """A row of the batch may be there already: find out whose, and write the others."""
        for index, ticket in enumerate(tickets):
            if ticket.entry is None:
                continue
            try:
                refused = self._write_one(ticket.entry)
            except Conflict as error:
                resolve_all([ticket], LedgerError(f"the ledger does not take this: {error}"))
            except _FAILURES as error:
                self._mark_failed(error)
                self._fail(tickets[index:], self._failure)
                return
            else:
                resolve_batch([ticket], refused)

    def _write_one(self, entry: Entry) -> Refused:
        if _is_unsure(entry):
            entry = with_stored_amounts(self._store, entry)
        if not isinstance(entry, Settlement):
            return self._commit([entry])
        corrected = self._correction_of(entry)
        if corrected is not None:
            self._commit([corrected])
        return {}

    def _correction_of(self, end: Settlement) -> Entry | None:
        """A settlement that may be there: nothing if it is, a correction if its hold had lapsed."""
        prior = self._store.fetch(
            "SELECT state, cost, unknown_calls FROM settlements WHERE id = $1", (end.id,)
        )
        missing = correction(end, prior, written_calls(self._store, end.id))
        if missing is None or not prior:
            return missing
        if end.state == "released" and not self._store.fetch(_HOLD, (end.id,)):
            return None  # another process has released it
        # The release has freed what was held; a later attempt may have held something again.
        return with_stored_amounts(self._store, structs.replace(missing, n=len(prior)))

    def _write_owed(self) -> bool:
        """Write the settlements that failed before. Returns whether none is left."""
        while self._owed:
            try:
                self._write_one(self._owed[0])
            except Conflict:
                pass  # it was written by the commit that seemed to fail
            except _FAILURES as error:
                self._mark_failed(error)
                return False
            self._owed.popleft()
        return True

    def _sweep(self, *, opening: bool = False) -> None:
        self._swept_at = time.monotonic()
        try:
            for entry in self._upkeep(opening):
                self._write_one(entry)
        except (Conflict, ConfigError):
            return
        except StoreFailure as error:
            self._mark_failed(error)


class _Unsure(Exception):
    """The batch has an entry whose change must first be looked up in the store."""


def _is_unsure(entry: Entry) -> bool:
    if type(entry) is Decided:
        return entry.hold.unsure
    return isinstance(entry, Hold | Settlement) and entry.unsure


def _cannot_record(error: RouterError) -> LedgerError:
    return LedgerError(f"the ledger cannot record: {error}")

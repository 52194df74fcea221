"""Stored budgets, and a snapshot of budgets and keys in memory.

Invariant: the snapshot is read again when ``revision`` in the store has risen.
"""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from turnout.catalog import Catalog
from turnout.core import Budget, Caller, LedgerError
from turnout.ledger.charges import Limits
from turnout.ledger.entries import Change
from turnout.ledger.keys import Key, callers_of, stored_keys
from turnout.ledger.store import Store, fetch_or_empty

UPSERT_BUDGET = (
    "INSERT INTO budgets VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET "
    "most = excluded.most, when_full = excluded.when_full, at_ms = excluded.at_ms"
)
DELETE_BUDGET = "DELETE FROM budgets WHERE id = $1"
BUMP_REVISION_SQL = "UPDATE revision SET n = n + $1"

# Seconds in which every process that can has looked for new keys several times.
_FRESH_S = 1.0
_LONGEST_UNREAD_S = 60.0


def budget_update(budget: Budget, now_ms: int) -> Change:
    """The entry that sets a budget; it replaces one with the same id."""
    return Change(
        UPSERT_BUDGET,
        (budget.id, budget.per, budget.name, budget.window, budget.unit, budget.limit,
         budget.when_full, now_ms),
    )  # fmt: skip


def budget_removal(id_: str) -> Change:
    """The entry that removes a budget; its balances stay."""
    return Change(DELETE_BUDGET, (id_,))


BUMP_REVISION = Change(BUMP_REVISION_SQL, (1,))
NO_CHANGE = Change(BUMP_REVISION_SQL, (0,))


def stored_budgets(store: Store) -> list[Budget]:
    """All budgets that were set by command or API."""
    sql = "SELECT per, name, win, unit, most, when_full FROM budgets ORDER BY id"
    return [
        Budget(per=per, name=name, window=win, unit=unit, limit=most, when_full=when_full)
        for per, name, win, unit, most, when_full in fetch_or_empty(store, sql)
    ]


class Directory:
    """A snapshot of keys and budgets. ``configured`` are the budgets of the configuration.

    ``on_change`` is called with the limits whenever they may have changed. After a minute in which
    the store could not be read, the snapshot lets nobody in.
    """

    def __init__(self, store: Store, on_change: Callable[[Limits], None]) -> None:
        self._store = store
        self._on_change = on_change
        self._revision = -1
        self._last_read_s: float | None = None
        self._configured: tuple[Budget, ...] = ()
        self._stored: tuple[Budget, ...] = ()
        self._keys: Sequence[Key] = ()
        self._deployments: Sequence[set[str]] = ()
        self._callers: Mapping[bytes, Caller] = {}
        self._lock = Lock()
        self._has_keys = False

    @property
    def has_keys(self) -> bool:
        """Whether a key was ever made. Raises LedgerError if the store was never read."""
        if self._last_read_s is None:
            raise LedgerError(f"keys cannot be checked: {self._store.where} cannot be read")
        return self._has_keys

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """All budgets; a stored one replaces the configuration's with the same id."""
        by_id = {b.id: b for b in (*self._configured, *self._stored)}
        return tuple(by_id.values())

    def configure(self, budgets: Sequence[Budget], catalog: Catalog) -> None:
        """Replace the configuration's budgets, and the models that keys are for."""
        self._configured = tuple(budgets)
        self._deployments = [deployment.names for deployment in catalog.deployments.values()]
        self._find_callers()
        self._on_change(Limits(self.budgets))

    def refresh(self, at_s: float) -> None:
        """Read what has changed since the last time; ``at_s`` is a monotonic time.

        Blocks. Raises RouterError when the store cannot be read.
        """
        (revision,) = self._store.fetch("SELECT n FROM revision")[0]
        if revision != self._revision:
            self._keys = stored_keys(self._store)
            self._stored = tuple(stored_budgets(self._store))
            self._find_callers()
            # If the file was lost, or an older copy came back, nobody is let in.
            self._has_keys = self._has_keys or bool(self._keys)
            self._revision = revision
            self._on_change(Limits(self.budgets))
        self._last_read_s = at_s

    def caller(self, digest: bytes, at_s: float, now_ms: int) -> Caller | None:
        """Whose key has this hash; None for an unknown or invalid one.

        A key may be unknown because it was just made. Raises LedgerError if the store could not be
        read for too long.
        """
        if self._last_read_s is None or at_s - self._last_read_s > _LONGEST_UNREAD_S:
            raise LedgerError(f"keys cannot be checked: {self._store.where} cannot be read")
        found = self._callers.get(digest)
        if found is None and at_s - self._last_read_s > _FRESH_S:
            raise LedgerError(f"this key cannot be checked: {self._store.where} cannot be read")
        if found is None or (found.expires_ms is not None and found.expires_ms <= now_ms):
            return None
        return found

    def _find_callers(self) -> None:
        # One thread may have new keys while another has new models: the later one sees both.
        with self._lock:
            self._callers = callers_of(self._keys, self._deployments)

"""What a database must do for the ledger: four methods, all blocking.

This module does not know entries or SQL.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from turnout.core import ConfigError, LedgerError
from turnout.ledger.balances import Account, Balance
from turnout.ledger.rows import Statements

BuildStatements = Callable[[Mapping[Account, Balance]], Statements]


class Conflict(Exception):
    """A row of the batch exists already; nothing of the batch was written."""


class StoreFailure(LedgerError):
    """The database cannot write now; nothing of the batch counts as written."""


class NoLedgerYet(ConfigError):
    """Nothing has been recorded at this place yet."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where}: no ledger yet; the first recorded request makes it")


class Store(Protocol):
    """One owner's connection for writing, and others for reading.

    All methods but ``fetch`` are called by one thread.
    """

    where: str
    exclusive: bool  # whether no other process can write while this one has the store open

    def open(self) -> None:
        """Connect, migrate, and make sure that what was committed is durable.

        Raises ConfigError for what will not mend by itself, StoreFailure for what may.
        """
        ...

    def commit(self, accounts: Sequence[Account], build: BuildStatements) -> None:
        """Run statements in one transaction that is durable on return.

        ``build`` is given the balances of ``accounts``, which nobody changes before the commit, and
        returns the statements. Raises Conflict or StoreFailure.
        """
        ...

    def fetch(self, sql: str, row: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query, by any thread.

        Raises StoreFailure or ConfigError, which is NoLedgerYet before the first entry.
        """
        ...

    def close(self) -> None:
        """Disconnect; harmless when not connected."""
        ...


def fetch_or_empty(store: Store, sql: str, row: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of a query, none where nothing was ever recorded; raises as ``fetch``."""
    try:
        return store.fetch(sql, row)
    except NoLedgerYet:
        return []

"""Which database a path or a URL names."""

from pathlib import Path
from typing import Any

from turnout.ledger.store import Store


def store_at(where: str | Path, **more: Any) -> Store:
    """The store that a path or a ``postgresql://`` URL names. Raises ConfigError."""
    if str(where).startswith(("postgresql://", "postgres://")):
        from turnout.ledger.postgres import PostgresStore

        return PostgresStore(str(where), **more)
    from turnout.ledger.sqlite import SqliteStore

    return SqliteStore(where, **more)

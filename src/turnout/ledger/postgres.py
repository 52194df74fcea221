"""The shared store: Postgres, for several processes on one ledger.

Invariant: a commit returns after the server has its log on disk (``synchronous_commit = on``; a
fail-over to an asynchronous replica may still lose it). Holds of other processes are freed by
their leases only. Every reader or writer gets a result or an error, also if the store closes.
This module does not know entries.
"""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from turnout.core import ConfigError, RouterError
from turnout.core.extras import requiring_extra
from turnout.ledger.balances import Account, Balance
from turnout.ledger.rows import FIRST_BALANCE, READ_BALANCE
from turnout.ledger.schema import pending_migrations
from turnout.ledger.store import BuildStatements, Conflict, NoLedgerYet, StoreFailure

T = TypeVar("T")

DEADLINE_S = 30.0
COMMIT_S = 10.0  # all callers wait meanwhile
CONNECT_S = 5.0
# One migration at a time, whichever process comes first: any number that others do not use.
_MIGRATING = 7_407_001


class PostgresStore:
    """A ledger at a ``postgresql://`` URL."""

    exclusive = False

    def __init__(self, url: str) -> None:
        self.url = url
        self.where = _without_password(url)
        self._asyncpg = _asyncpg()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._write_connection: Any = None
        self._read_connection: Any = None
        self._read_lock = asyncio.Lock()
        self._closing = False

    def open(self) -> None:
        """As Store.open."""
        self._run(self._open())

    def commit(self, accounts: Sequence[Account], build: BuildStatements) -> None:
        """As Store.commit."""
        self._run(self._commit(accounts, build))

    def fetch(self, sql: str, row: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """As Store.fetch."""
        return self._run(self._fetch(sql, row))

    def close(self) -> None:
        """As Store.close."""
        with self._starting:  # nothing begins on a loop that ends
            loop, thread = self._loop, self._thread
            if loop is None or thread is None:
                return
            asyncio.run_coroutine_threadsafe(self._end(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
            self._loop = self._thread = None

    async def _open(self) -> None:
        await self._close()
        self._write_connection = await self._connect()
        async with self._write_connection.transaction():
            await self._write_connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATING)
            await self._migrate()

    async def _migrate(self) -> None:
        await self._write_connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (place SERIAL PRIMARY KEY, name TEXT NOT NULL)"
        )
        rows = await self._write_connection.fetch("SELECT name FROM migrations ORDER BY place")
        for migration in pending_migrations([row[0] for row in rows], self.where):
            for statement in migration("postgres"):
                await self._write_connection.execute(statement)
            await self._write_connection.execute(
                "INSERT INTO migrations (name) VALUES ($1)", migration.__name__
            )

    async def _commit(self, accounts: Sequence[Account], build: BuildStatements) -> None:
        connection = self._write_connection
        if connection is None or connection.is_closed():
            raise StoreFailure(f"{self.where} is not connected")
        # If cancelled, it would wait once more for a server that does not answer.
        timer = asyncio.get_running_loop().call_later(COMMIT_S, connection.terminate)
        try:
            await self._write(connection, accounts, build)
        finally:
            timer.cancel()

    async def _write(
        self, connection: Any, accounts: Sequence[Account], build: BuildStatements
    ) -> None:
        async with connection.transaction():
            # Only an existing row can be locked; all processes lock in the same order.
            await connection.executemany(
                FIRST_BALANCE, [_storable(account) for account in accounts]
            )
            balances: dict[Account, Balance] = {}
            for account in accounts:
                found = await connection.fetchrow(f"{READ_BALANCE} FOR UPDATE", *_storable(account))
                balances[account] = found[0], found[1]
            for sql, rows in build(balances):
                await connection.executemany(sql, [_storable(row) for row in rows])

    async def _fetch(self, sql: str, row: Sequence[Any]) -> list[tuple[Any, ...]]:
        async with self._read_lock:  # a connection takes one query at a time
            if not self._closing and (
                self._read_connection is None or self._read_connection.is_closed()
            ):
                self._read_connection = await self._connect()
            if self._closing:
                raise StoreFailure(f"{self.where} is being closed")
            return [
                tuple(found) for found in await self._read_connection.fetch(sql, *_storable(row))
            ]

    async def _connect(self) -> Any:
        settings = {"synchronous_commit": "on"}
        return await self._asyncpg.connect(
            self.url, timeout=CONNECT_S, command_timeout=DEADLINE_S, server_settings=settings
        )

    async def _end(self) -> None:
        """Disconnect, once every read has ended for its caller."""
        self._closing = True
        if self._read_lock.locked() and self._read_connection is not None:
            self._read_connection.terminate()  # an orderly end would wait for the answer
        if under_way := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(under_way)  # at most as long as connecting may take
        await self._close()

    async def _close(self) -> None:
        for connection in (self._write_connection, self._read_connection):
            if connection is not None:
                with suppress(Exception):
                    await connection.close(timeout=CONNECT_S)
        self._write_connection = self._read_connection = None

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """The work's result, from the store's own loop, with errors explained."""
        errors = self._asyncpg
        with self._starting:
            future = asyncio.run_coroutine_threadsafe(work, self._started_loop())
        try:
            return future.result()
        except (errors.UniqueViolationError, errors.DataError) as error:
            # Not a fault of the server; if it counted as one, a row would be tried again forever.
            raise Conflict(str(error)) from error
        except (errors.InvalidPasswordError, errors.InvalidCatalogNameError) as error:
            raise ConfigError(f"ledger: {self.where} refuses: {error}") from error
        except errors.UndefinedTableError as error:
            raise NoLedgerYet(self.where) from error
        except RouterError:
            raise
        except Exception as error:
            # A driver whose connection ends between two of its steps raises almost anything.
            message = str(error) or type(error).__name__
            raise StoreFailure(f"{self.where} cannot be used now ({message})") from error

    def _started_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop, self._read_lock = asyncio.new_event_loop(), asyncio.Lock()
            self._closing = False
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="ledger-postgres", daemon=True
            )
            self._thread.start()
        return self._loop


def _storable(row: Sequence[Any]) -> list[Any]:
    """The row without the one character that Postgres cannot store in a text."""
    return [v.replace("\0", "\ufffd") if isinstance(v, str) and "\0" in v else v for v in row]


def _asyncpg() -> Any:
    with requiring_extra("postgres", "ledger: postgresql needs asyncpg"):
        import asyncpg
    return asyncpg


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"

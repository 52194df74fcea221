"""The embedded store: SQLite in WAL mode, each commit synchronised to the disk.

Invariant: one process writes, which a lock on a side file ensures. After any failure to write, the
connection is given up, and the file is written anew from its log before anything is promised again:
an fsync that failed once says nothing when it succeeds later (see
https://www.sqlite.org/atomiccommit.html and Rebello et al., "Can Applications Recover from fsync
Failures?", USENIX ATC 2020). This module does not know entries.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw

from turnout.core import ConfigError
from turnout.ledger.balances import Account
from turnout.ledger.lock import LockHeld, acquire, is_there, with_ending, write_holder_lines
from turnout.ledger.rows import READ_BALANCE
from turnout.ledger.schema import pending_migrations
from turnout.ledger.store import BuildStatements, Conflict, NoLedgerYet, StoreFailure

BUSY_MS = 5_000
READ_LIMIT_S = 30.0
CHECKPOINT_PAGES = 1_000
MOST_WAL_BYTES = 64 * 2**20
LOCK_WAIT_S = 3.0
_STEPS_PER_CHECK = 10_000
# Each row that is written takes one of these places in turn, and the statement that was there is
# compiled anew when it is next used. So there are as many as 32 requests have rows; all of them are
# looked through for each row, so that more would cost more than they save.
_CACHED_STATEMENTS = 256


class SqliteStore:
    """A ledger in a file.

    ``lock_wait_s`` is how long another process is waited for. ``vfs`` names another SQLite VFS, and
    ``synchronous`` other than FULL gives up durability: both serve to prove the ledger.
    """

    exclusive = True

    def __init__(
        self,
        path: str | Path,
        *,
        lock_wait_s: float = LOCK_WAIT_S,
        vfs: str | None = None,
        synchronous: str = "FULL",
    ) -> None:
        self.path = Path(path).expanduser()
        self.where = str(self.path)
        self._lock_wait_s = lock_wait_s
        self._vfs = vfs
        self._synchronous = synchronous
        self._connection: apsw.Connection | None = None
        self._lock: int | None = None
        self._file: tuple[int, int] | None = None  # which one was open last
        self._wal: Path  # beside the file that is open

    def open(self) -> None:
        """As Store.open; also refuses a file that another process is writing."""
        self._make_folder()
        self._take_lock()
        try:
            with _explaining_errors(self.where):
                self._connect()
        except BaseException:
            self.close()
            raise

    def commit(self, accounts: Sequence[Account], build: BuildStatements) -> None:
        """As Store.commit."""
        connection = self._connection
        if connection is None:
            raise StoreFailure(f"{self.where} is not open")
        cursor = connection.cursor()
        try:
            cursor.execute("BEGIN IMMEDIATE")
            balances = {
                account: cursor.execute(READ_BALANCE, account).fetchone() or (0, 0)
                for account in accounts
            }
            for sql, rows in build(balances):
                cursor.executemany(sql, rows)
            cursor.execute("COMMIT")
            self._check_file_in_place()
        except (apsw.ConstraintError, OverflowError, TypeError, ValueError) as error:
            cursor.execute("ROLLBACK")
            raise Conflict(_message_of(error)) from error
        except apsw.Error as error:
            # The state of the connection and of the disk is unknown: both are found anew.
            self.close()
            raise StoreFailure(f"{self.where} cannot be written ({_message_of(error)})") from error
        self._limit_wal(connection)

    def fetch(self, sql: str, row: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """As Store.fetch; a query is stopped after 30 s, for it keeps the log from shrinking."""
        with _explaining_errors(self.where):
            if not self._vfs and not is_there(self.path):
                raise NoLedgerYet(self.where)
            if self.path.is_dir():
                raise ConfigError(f"{self.where} is a folder; name a file")
            connection = self._connection if self._vfs else None
            if connection is not None:
                return list(connection.execute(sql, row))
            connection = _reader(self.path)
            try:
                connection.set_busy_timeout(BUSY_MS)
                deadline = time.monotonic() + READ_LIMIT_S
                connection.set_progress_handler(
                    lambda: time.monotonic() > deadline, _STEPS_PER_CHECK
                )
                return list(connection.execute(sql, row))
            finally:
                connection.close()

    def _check_file_in_place(self) -> None:
        """Raises StoreFailure where what was just written is in no file that anybody will find."""
        if not self._vfs and _file_identity(self.path) != self._file:
            self.close()
            raise StoreFailure(f"{self.where} was removed or replaced while it was written")

    def close(self) -> None:
        """As Store.close."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(apsw.Error):
                connection.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _connect(self) -> None:
        is_new = not self._vfs and not is_there(self.path)
        if is_new:
            self._make_file()
        connection = apsw.Connection(
            self.where, vfs=self._vfs, statementcachesize=_CACHED_STATEMENTS
        )
        self._connection = connection
        if connection.readonly("main"):
            raise apsw.ReadOnlyError("it may only be read")
        connection.set_busy_timeout(BUSY_MS)
        if self._vfs:
            # A VFS written in Python has no shared memory; an exclusive WAL does without.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {MOST_WAL_BYTES}")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        for migration in pending_migrations(_applied(connection), self.where):
            _run(connection, migration.__name__, list(migration("sqlite")))
        if is_new:
            _sync_folder(self.path.parent)
        self._file = _file_identity(self.path)
        self._wal = with_ending(self.path, "-wal")

    def _make_file(self) -> None:
        """An empty one that only its owner reads. Raises ConfigError where one was lost."""
        if self._file is not None:
            raise ConfigError(
                f"{self.where} is gone, with its keys and budgets; put it back, or restart to "
                "begin a new one"
            )
        with suppress(OSError):  # said better by SQLite, which tries it again
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def _limit_wal(self, connection: apsw.Connection) -> None:
        """Shrink a log that readers kept from being written back, when it has grown too long."""
        try:
            if self._wal.stat().st_size > MOST_WAL_BYTES:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except (OSError, apsw.BusyError):
            return  # there is none, or a reader is still at it; the next commit tries again
        except apsw.Error as error:
            self.close()
            raise StoreFailure(f"{self.where} cannot be written ({_message_of(error)})") from error

    def _make_folder(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigError(
                f"{self.path.parent} cannot be made ({error.strerror}); set ledger to a path that "
                "can be written, or to off"
            ) from error

    def _take_lock(self) -> None:
        lock_path = with_ending(self.path, ".lock")
        try:
            self._lock = acquire(lock_path, self._lock_wait_s)
        except LockHeld as held:
            raise ConfigError(
                f"{self.where} is being written by another process ({held}); end it, name another "
                "file with ledger:, or share one ledger: postgresql://…"
            ) from held
        except OSError as error:
            if error.errno == 28:  # ENOSPC
                raise StoreFailure(f"{lock_path} cannot be written ({error.strerror})") from error
            raise ConfigError(
                f"{lock_path} cannot be written ({error.strerror}); set ledger to a path that can, "
                "or to off"
            ) from error
        with suppress(OSError):  # the number is only for the message above
            write_holder_lines(self._lock, f"pid {os.getpid()}")


def _reader(path: Path) -> apsw.Connection:
    """A connection that writes nothing.

    SQLite makes files beside a database even to read it. Where none can be made, and no log holds a
    part of the data, the file is read as it is.
    """
    flags, log = apsw.SQLITE_OPEN_READONLY, with_ending(path, "-wal")
    if log.exists() or os.access(log.parent, os.W_OK):
        return apsw.Connection(str(path), flags=flags)
    alone = f"{path.absolute().as_uri()}?immutable=1"
    return apsw.Connection(alone, flags=flags | apsw.SQLITE_OPEN_URI)


def check_file(path: Path) -> list[str]:
    """What SQLite finds wrong with a file's structure; nothing when it is sound."""
    with _explaining_errors(str(path)):
        connection = _reader(path)
        try:
            rows = connection.execute("PRAGMA integrity_check(10)").fetchall()
        finally:
            connection.close()
    return [" ".join(str(row[0]).split()) for row in rows if row[0] != "ok"]


def _file_identity(path: Path) -> tuple[int, int] | None:
    """The file that is at a path now, however it is called."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _applied(connection: apsw.Connection) -> list[str]:
    found = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migrations'"
    ).fetchall()
    if not found:
        return []
    return [row[0] for row in connection.execute("SELECT name FROM migrations ORDER BY place")]


def _run(connection: apsw.Connection, name: str, statements: Sequence[str]) -> None:
    with connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (place INTEGER PRIMARY KEY, name TEXT NOT NULL)"
        )
        for statement in statements:
            connection.execute(statement)
        connection.execute("INSERT INTO migrations (name) VALUES ($1)", (name,))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explaining_errors(where: str) -> Iterator[None]:
    """SQLite's errors as one line each, by whether waiting can help."""
    try:
        yield
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise ConfigError(
            f"{where} is damaged or not a ledger ({_message_of(error)}); keep it, restore a "
            "backup or name another file"
        ) from error
    except (
        apsw.CantOpenError,
        apsw.ReadOnlyError,
        apsw.PermissionsError,
        PermissionError,
    ) as error:
        raise ConfigError(
            f"{where} cannot be opened ({_message_of(error)}); check the permissions of the file "
            "and its folder, or name another file"
        ) from error
    except apsw.SQLError as error:
        raise ConfigError(
            f"{where} is not a ledger of this version ({_message_of(error)}); record a request to "
            "bring an older one up to date"
        ) from error
    except apsw.InterruptError as error:
        raise StoreFailure(f"{where}: the query took more than {READ_LIMIT_S:g} s") from error
    except (apsw.Error, OSError) as error:
        raise StoreFailure(f"{where} cannot be used now ({_message_of(error)})") from error


def _message_of(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error).strip() or type(error).__name__

"""The one gateway of a ledger file, and how commands write through it.

A gateway keeps the file to itself while it works, and commands that make keys or set budgets cannot
wait until it is idle. So a file beside the ledger, readable only by its owner, tells them where the
gateway takes their entries (see ``host``).

Invariant: a file has one gateway at a time. This module does not know the entries.
"""

import os
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from turnout.core import ConfigError
from turnout.ledger.host import LedgerHost
from turnout.ledger.ledger import Ledger
from turnout.ledger.lock import (
    LockHeld,
    acquire,
    holder_lines,
    is_there,
    with_ending,
    write_holder_lines,
)
from turnout.ledger.place import path_of
from turnout.ledger.recorder import Recorder

_PREFIX = "turnout-ledger-"
_WAIT_S = 1.0  # a command that looks for the owner takes the lock for a moment
Address = tuple[str, bytes]  # a socket's path, and the secret that opens it


class FileOwner:
    """Makes this process the owner of the ledger at ``place``, until the context ends.

    A ledger that is not a file has no owner. Entering raises ConfigError.
    """

    def __init__(self, place: str | None) -> None:
        self._path = None if place is None else path_of(place)
        self._lock: int | None = None
        self._folder: TemporaryDirectory[str] | None = None
        self._host: LedgerHost | None = None
        self._ledger: Ledger | None = None
        self._former: dict[Path, tuple[Ledger, int]] = {}

    def __enter__(self) -> Self:
        self._lock = _acquired_lock(self._path)
        return self

    def share(self, ledger: Ledger, grace_s: float = 0.0) -> Address:
        """Let other processes write to this ledger; returns where they do.

        ``grace_s`` is how long to wait for the processes of the last gateway.
        """
        self._folder = TemporaryDirectory(prefix=_PREFIX)
        address, secret = f"{self._folder.name}/socket", secrets.token_bytes(32)
        self._host, self._ledger = LedgerHost(ledger, address, secret, grace_s), ledger
        if self._lock is not None:
            with suppress(OSError):  # a full disk; commands then do not find the gateway
                write_holder_lines(self._lock, f"pid {os.getpid()}", address, secret.hex())
        return address, secret

    def follow(self, recorder: Recorder) -> None:
        """Use the gateway's current recorder, also if its ledger is at another place now.

        The old place stays this process's until its ledger is closed, since requests may be
        settled there. Raises ConfigError if the new place has another gateway; nothing has changed
        then.
        """
        if recorder is self._ledger:
            return
        ledger = recorder if isinstance(recorder, Ledger) and recorder.store.exclusive else None
        path = None if ledger is None else path_of(ledger.store.where)
        if _resolved(path) != _resolved(self._path):
            lock = self._lock_of(path)
            self._keep_lock_until_closed()
            self._path, self._lock = path, lock
        self._stop_sharing()
        if ledger is not None:
            self.share(ledger)

    def _stop_sharing(self) -> None:
        """Take no more entries."""
        host, folder = self._host, self._folder
        self._host = self._folder = self._ledger = None
        if host is not None:
            host.close()
        if folder is not None:
            folder.cleanup()

    def close(self) -> None:
        """Take no more entries, and leave the file to another gateway."""
        self._stop_sharing()
        lock, self._lock = self._lock, None
        _release(lock)
        while self._former:
            _release(self._former.popitem()[1][1])

    def _keep_lock_until_closed(self) -> None:
        """Keep the lock until the ledger is closed; commands write to the file themselves."""
        path, ledger, lock = _resolved(self._path), self._ledger, self._lock
        self._stop_sharing()
        if path is None or ledger is None or lock is None:
            _release(lock)
            return
        with suppress(OSError):
            write_holder_lines(lock, f"pid {os.getpid()}")
        self._former[path] = ledger, lock
        ledger.after_close.append(partial(self._release_former, path, ledger))

    def _release_former(self, path: Path, ledger: Ledger) -> None:
        """Release a former place, unless the gateway uses it again with another ledger."""
        if path in self._former and self._former[path][0] is ledger:
            _release(self._former.pop(path)[1])

    def _lock_of(self, path: Path | None) -> int | None:
        """The lock of a place, which this process may already hold. Raises ConfigError."""
        _, lock = self._former.pop(path.resolve(), (None, None)) if path else (None, None)
        return _acquired_lock(path) if lock is None else lock

    def __exit__(self, *error: object) -> None:
        self.close()


def _release(lock: int | None) -> None:
    """Leave the file to another gateway."""
    if lock is not None:
        with suppress(OSError):
            write_holder_lines(lock)
        os.close(lock)


def _acquired_lock(path: Path | None) -> int | None:
    """The lock of a file's gateway; None if there is nothing to lock. Raises ConfigError."""
    if path is None:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = acquire(_lock_path(path), _WAIT_S)
    except LockHeld as held:
        raise ConfigError(
            f"{path} has a gateway already ({held}); use that one, end it, name another "
            "file with ledger:, or share one ledger: postgresql://…"
        ) from held
    except OSError:
        return None  # the ledger cannot be written either, and its error is clearer
    with suppress(OSError):  # a full disk
        _remove_stale_folder(holder_lines(lock))
        write_holder_lines(lock, f"pid {os.getpid()}")
    return lock


def owner_address(place: str) -> Address | None:
    """Where the gateway that has the ledger at ``place`` takes entries; None without one."""
    path = path_of(place)
    if path is None or not is_there(_lock_path(path)):
        return None
    try:
        os.close(acquire(_lock_path(path)))
    except LockHeld as held:
        return _address_in(held.lines)
    except OSError:
        pass
    return None


def _address_in(lines: Sequence[str]) -> Address | None:
    """The address and secret in these lines; None if a gateway is not ready yet."""
    match lines:
        case [_, address, secret]:
            return address, bytes.fromhex(secret)
        case _:
            return None


def _remove_stale_folder(lines: Sequence[str]) -> None:
    """Removes the folder that a killed gateway has left."""
    address = _address_in(lines)
    if address is not None and (folder := Path(address[0]).parent).name.startswith(_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def _lock_path(path: Path) -> Path:
    return with_ending(path, ".gateway")


def _resolved(path: Path | None) -> Path | None:
    return None if path is None else path.resolve()

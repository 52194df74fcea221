"""The one gateway of a ledger file, and how commands write through it.

A gateway keeps the file to itself while it works, and commands that make keys or set budgets cannot
wait until it is idle. So a file beside the ledger, readable only by its owner, tells them where the
gateway takes their entries (see ``shared``).

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
from turnout.ledger.ledger import Ledger
from turnout.ledger.lock import Held, beside, said, say, take
from turnout.ledger.place import path_of
from turnout.ledger.recorder import Recorder
from turnout.ledger.shared import LedgerHost

_PREFIX = "turnout-ledger-"
_WAIT_S = 1.0  # a command that looks for the owner takes the lock for a moment
Address = tuple[str, bytes]  # a socket's path, and the secret that opens it


class Door:
    """Makes this process the gateway of the ledger at ``place``, until the context ends.

    A ledger that is not a file may have any number of gateways. Entering raises ConfigError.
    """

    def __init__(self, place: str | None) -> None:
        self._path = None if place is None else path_of(place)
        self._lock: int | None = None
        self._folder: TemporaryDirectory[str] | None = None
        self._host: LedgerHost | None = None
        self._ledger: Ledger | None = None
        self._left: dict[Path, tuple[Ledger, int]] = {}

    def __enter__(self) -> Self:
        self._lock = _taken(self._path)
        return self

    def open(self, ledger: Ledger, grace_s: float = 0.0) -> Address:
        """Let other processes write to this ledger; returns where they do.

        ``grace_s`` is how long to wait for the processes of the last gateway.
        """
        self._folder = TemporaryDirectory(prefix=_PREFIX)
        address, secret = f"{self._folder.name}/socket", secrets.token_bytes(32)
        self._host, self._ledger = LedgerHost(ledger, address, secret, grace_s), ledger
        if self._lock is not None:
            with suppress(OSError):  # a full disk; commands then do not find the gateway
                say(self._lock, f"pid {os.getpid()}", address, secret.hex())
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
        if _real(path) != _real(self._path):
            lock = self._back(path)
            self._stay()
            self._path, self._lock = path, lock
        self._leave()
        if ledger is not None:
            self.open(ledger)

    def _leave(self) -> None:
        """Take no more entries."""
        host, folder = self._host, self._folder
        self._host = self._folder = self._ledger = None
        if host is not None:
            host.close()
        if folder is not None:
            folder.cleanup()

    def close(self) -> None:
        """Take no more entries, and leave the file to another gateway."""
        self._leave()
        lock, self._lock = self._lock, None
        _free(lock)
        while self._left:
            _free(self._left.popitem()[1][1])

    def _stay(self) -> None:
        """Keep the lock until the ledger is closed; commands write to the file themselves."""
        path, ledger, lock = _real(self._path), self._ledger, self._lock
        self._leave()
        if path is None or ledger is None or lock is None:
            _free(lock)
            return
        with suppress(OSError):
            say(lock, f"pid {os.getpid()}")
        self._left[path] = ledger, lock
        ledger.after_close.append(partial(self._settled, path, ledger))

    def _settled(self, path: Path, ledger: Ledger) -> None:
        """Release the old place, unless the gateway has come back to it with another ledger."""
        if path in self._left and self._left[path][0] is ledger:
            _free(self._left.pop(path)[1])

    def _back(self, path: Path | None) -> int | None:
        """The lock of a place, which this process may already hold. Raises ConfigError."""
        _, lock = self._left.pop(path.resolve(), (None, None)) if path else (None, None)
        return _taken(path) if lock is None else lock

    def __exit__(self, *error: object) -> None:
        self.close()


def _free(lock: int | None) -> None:
    """Leave the file to another gateway."""
    if lock is not None:
        with suppress(OSError):
            say(lock)
        os.close(lock)


def _taken(path: Path | None) -> int | None:
    """The lock of a file's gateway; None if there is nothing to lock. Raises ConfigError."""
    if path is None:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = take(_side(path), _WAIT_S)
    except Held as held:
        raise ConfigError(
            f"{path} has a gateway already ({held}); use that one, end it, name another "
            "file with ledger:, or share one ledger: postgresql://…"
        ) from held
    except OSError:
        return None  # the ledger cannot be written either, and its error is clearer
    with suppress(OSError):  # a full disk
        _remove_left(said(lock))
        say(lock, f"pid {os.getpid()}")
    return lock


def through(place: str) -> Address | None:
    """Where the gateway that has the ledger at ``place`` takes entries; None without one."""
    path = path_of(place)
    if path is None or not _side(path).exists():
        return None
    try:
        os.close(take(_side(path)))
    except Held as held:
        return _address(held.said)
    except OSError:
        pass
    return None


def _address(lines: Sequence[str]) -> Address | None:
    """The address and secret in these lines; None if a gateway is not ready yet."""
    match lines:
        case [_, address, secret]:
            return address, bytes.fromhex(secret)
        case _:
            return None


def _remove_left(lines: Sequence[str]) -> None:
    """Removes the folder that a killed gateway has left."""
    address = _address(lines)
    if address is not None and (folder := Path(address[0]).parent).name.startswith(_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def _side(path: Path) -> Path:
    return beside(path, ".gateway")


def _real(path: Path | None) -> Path | None:
    return None if path is None else path.resolve()

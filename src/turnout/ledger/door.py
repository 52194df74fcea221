"""The one gateway of a ledger file, and how commands write through it.

A gateway keeps the file to itself while it works, and commands that make keys or set budgets cannot
wait for its rest. So it says, in a file beside the ledger that only its owner reads, where it takes
what they would write (see ``shared``).

Invariant: a file has one gateway at a time. This module does not know what is written.
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
_WAIT_S = 1.0  # a command that looks who has it has it for a moment
Address = tuple[str, bytes]  # a socket's path, and the secret that opens it


class Door:
    """Makes this process the gateway of the ledger at ``place``, until the context ends.

    A place that is no file may have any number. Entering raises ConfigError.
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
        """Let other processes write to the ledger of this place; where they do.

        ``grace_s`` is how long those of the last gateway are waited for.
        """
        self._folder = TemporaryDirectory(prefix=_PREFIX)
        address, secret = f"{self._folder.name}/socket", secrets.token_bytes(32)
        self._host, self._ledger = LedgerHost(ledger, address, secret, grace_s), ledger
        if self._lock is not None:
            with suppress(OSError):  # a full disk; commands are not told then
                say(self._lock, f"pid {os.getpid()}", address, secret.hex())
        return address, secret

    def follow(self, recorder: Recorder) -> None:
        """Lead to the gateway's recorder, from another place where it is there.

        The place before stays this process's until its ledger is closed, since requests may be
        settled there. Raises ConfigError where the new place has another gateway; all is then as
        it was.
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
        """Take nothing more."""
        host, folder = self._host, self._folder
        self._host = self._folder = self._ledger = None
        if host is not None:
            host.close()
        if folder is not None:
            folder.cleanup()

    def close(self) -> None:
        """Take nothing more, and leave the file to another gateway."""
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
        """Nothing more is written there, unless the gateway has come back with another ledger."""
        if path in self._left and self._left[path][0] is ledger:
            _free(self._left.pop(path)[1])

    def _back(self, path: Path | None) -> int | None:
        """The lock of a place, which this process may still have. Raises ConfigError."""
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
    """The lock of a file's gateway; None where there is none to have. Raises ConfigError."""
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
        return None  # the ledger itself cannot be written either, and says so better
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
    """None where a gateway has not come so far."""
    match lines:
        case [_, address, secret]:
            return address, bytes.fromhex(secret)
        case _:
            return None


def _remove_left(lines: Sequence[str]) -> None:
    """Removes the folder that a gateway has left which was killed."""
    address = _address(lines)
    if address is not None and (folder := Path(address[0]).parent).name.startswith(_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def _side(path: Path) -> Path:
    return beside(path, ".gateway")


def _real(path: Path | None) -> Path | None:
    return None if path is None else path.resolve()

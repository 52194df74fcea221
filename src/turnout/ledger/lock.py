"""A lock file that one process holds at a time, and which says which process that is.

Invariant: the kernel releases it however the process ends. This module does not know what is
locked.
"""

import fcntl
import os
import time
from collections.abc import Sequence
from pathlib import Path

_PAUSE_S = 0.02
_MOST_BYTES = 1024


class LockHeld(Exception):
    """Another process holds the lock, which wrote ``lines``; ``str()`` is the first one."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__(lines[0].strip() if lines else "unknown")
        self.lines = lines


def is_there(path: Path) -> bool:
    """Whether there is such a file. Raises PermissionError where that may not be known.

    ``Path.exists`` says no there since Python 3.14, and a ledger would seem to be new.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def with_ending(path: str | Path, ending: str) -> Path:
    """The file with this ending beside the file that the path leads to, links resolved."""
    real = Path(os.path.realpath(path))
    return real.with_name(f"{real.name}{ending}")


def acquire(path: str | Path, wait_s: float = 0.0) -> int:
    """The file's descriptor, once this process holds it; closing it releases the lock.

    Raises LockHeld or OSError.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + wait_s
    while not _locked(lock):
        if time.monotonic() >= until:
            lines = holder_lines(lock)
            os.close(lock)
            raise LockHeld(lines)
        time.sleep(_PAUSE_S)
    return lock


def holder_lines(lock: int) -> list[str]:
    """The lines of the process that holds it, or held it last. Raises OSError."""
    return os.pread(lock, _MOST_BYTES, 0).decode("utf-8", "replace").splitlines()


def write_holder_lines(lock: int, *lines: str) -> None:
    """Write the holder's lines, in place of the old ones. Raises OSError."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, "".join(f"{line}\n" for line in lines).encode(), 0)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

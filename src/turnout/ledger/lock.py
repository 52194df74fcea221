"""A file that one process has at a time, and which says who that is.

Invariant: the kernel gives it back however the process ends. This module does not know what it is
for.
"""

import fcntl
import os
import time
from collections.abc import Sequence
from pathlib import Path

_PAUSE_S = 0.02
_MOST_BYTES = 1024


class Held(Exception):
    """Another process has it, and wrote the lines ``said``; ``str()`` is the first."""

    def __init__(self, said: Sequence[str]) -> None:
        super().__init__(said[0].strip() if said else "unknown")
        self.said = said


def beside(path: str | Path, ending: str) -> Path:
    """The file with this ending beside the one that a path leads to, however that is spelled."""
    real = Path(os.path.realpath(path))
    return real.with_name(f"{real.name}{ending}")


def take(path: str | Path, wait_s: float = 0.0) -> int:
    """The file's descriptor, once it is this process's; closing it gives it back.

    Raises Held or OSError.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + wait_s
    while not _locked(lock):
        if time.monotonic() >= until:
            found = said(lock)
            os.close(lock)
            raise Held(found)
        time.sleep(_PAUSE_S)
    return lock


def said(lock: int) -> list[str]:
    """The lines of who has it, or had it last. Raises OSError."""
    return os.pread(lock, _MOST_BYTES, 0).decode("utf-8", "replace").splitlines()


def say(lock: int, *lines: str) -> None:
    """Write who has it, in place of what was there. Raises OSError."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, "".join(f"{line}\n" for line in lines).encode(), 0)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

"""Ids that sort by time: milliseconds since the epoch, followed by random digits.

Invariant: within a process the time in the ids never goes back, even when the clock does.
"""

import os
import threading
import time


class Ids:
    """Makes ids; safe in threads."""

    def __init__(self) -> None:
        self._last_ms, self._time = 0, ""
        self._digits: list[str] = []
        self._lock = threading.Lock()

    def new(self) -> str:
        """A request's id: ``r_`` and 24 hexadecimal digits, the first 12 of them the time."""
        with self._lock:
            now_ms = time.time_ns() // 1_000_000
            if now_ms > self._last_ms:
                self._last_ms, self._time = now_ms, now_ms.to_bytes(6).hex()
            self._digits = self._digits or _random_digits()
            return f"r_{self._time}{self._digits.pop()}"


def _random_digits() -> list[str]:
    """Random digits for many ids, from one call to the operating system."""
    return os.urandom(6 * 256).hex(" ", 6).split()


new_id = Ids().new

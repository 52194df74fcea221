"""Ids that sort by time: milliseconds since the epoch, followed by random digits.

Invariant: within a process the time in the ids never goes back, even when the clock does.
"""

import os
import threading
import time


class Ids:
    """Makes ids; safe in threads."""

    def __init__(self) -> None:
        self._last_ms = 0
        self._digits: list[str] = []
        self._lock = threading.Lock()

    def new(self) -> str:
        """A request's id: ``r_`` and 24 hexadecimal digits, the first 12 of them the time."""
        with self._lock:
            now_ms = self._last_ms = max(self._last_ms, time.time_ns() // 1_000_000)
            self._digits = self._digits or _random_digits()
            digits = self._digits.pop()
        return f"r_{now_ms:012x}{digits}"


def _random_digits() -> list[str]:
    """Random digits for many ids, from one call to the operating system."""
    drawn = os.urandom(6 * 256).hex()
    return [drawn[start : start + 12] for start in range(0, len(drawn), 12)]


new_id = Ids().new

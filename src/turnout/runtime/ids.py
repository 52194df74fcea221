"""Ids that sort as they were given: milliseconds since the epoch, then chance.

Invariant: within a process the ids rise, even when the clock is set back.
"""

import os
import threading
import time


class Ids:
    """Gives ids, never an earlier one than before."""

    def __init__(self) -> None:
        self._last_ms = 0
        self._lots: list[str] = []
        self._giving = threading.Lock()

    def new(self) -> str:
        """A request's id: ``r_`` and 24 hexadecimal digits, the first 12 of them the time."""
        with self._giving:
            now_ms = self._last_ms = max(self._last_ms, time.time_ns() // 1_000_000)
            self._lots = self._lots or _lots()
            lot = self._lots.pop()
        return f"r_{now_ms:012x}{lot}"


def _lots() -> list[str]:
    """Chance for many ids: the system is asked once for all of them."""
    drawn = os.urandom(6 * 256).hex()
    return [drawn[start : start + 12] for start in range(0, len(drawn), 12)]


new_id = Ids().new

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
        self._chance = b""
        self._giving = threading.Lock()

    def new(self) -> str:
        """A request's id: ``r_`` and 24 hexadecimal digits, the first 12 of them the time."""
        with self._giving:
            self._last_ms = max(self._last_ms, time.time_ns() // 1_000_000)
            now_ms = self._last_ms
            # The system is asked for chance once for many ids.
            pool = self._chance or os.urandom(6 * 256)
            lot, self._chance = pool[:6], pool[6:]
        return f"r_{now_ms:012x}{lot.hex()}"


new_id = Ids().new

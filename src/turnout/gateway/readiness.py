"""Whether a request would be taken now: by some model, and by the ledger that must record it.

Invariant: "ready" is said only after something was written, since a ledger that can be read may be
on a full disk. This module does not know HTTP.
"""

import asyncio
import time
from collections.abc import Callable

from turnout.core import RouterError
from turnout.runtime import Engine

# One write per second, however many ask; a store that takes longer is too slow to be ready.
_REUSE_S = 1.0
_TIMEOUT_S = 2.0

READY = "ok"


class Readiness:
    """Checks readiness; ``engine`` returns the one that serves now."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        self._engine = engine
        self._lock = asyncio.Lock()
        self._checked_s: float | None = None
        self._is_writable = False
        self.draining = False

    async def state(self) -> str:
        """``READY``, or what stands in the way."""
        if self.draining:
            return "draining"
        if not self._engine().callable_models():
            return "no model can be called"
        return READY if await self._can_record() else "the ledger cannot record"

    async def _can_record(self) -> bool:
        async with self._lock:
            now = time.monotonic()
            if self._checked_s is None or now - self._checked_s > _REUSE_S:
                self._is_writable = await self._probe_write()
                self._checked_s = time.monotonic()
            return self._is_writable

    async def _probe_write(self) -> bool:
        try:
            await asyncio.wait_for(self._engine().check_recorder(), _TIMEOUT_S)
        except (RouterError, TimeoutError):
            return False
        return True

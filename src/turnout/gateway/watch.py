"""Follows changes of keys and budgets by other processes: within a second, or at once.

Invariant: if the store cannot be read, nothing changes but the snapshot's age.
"""

import asyncio
import logging
from collections.abc import Callable

from turnout.core import LedgerError, RouterError
from turnout.runtime import Accounts

_INTERVAL_S = 0.4
_TIMEOUT_S = 2.0
_LOG = logging.getLogger("turnout.gateway")


class Watch:
    """Keeps the snapshot of the accounts that ``accounts`` returns like the store."""

    def __init__(self, accounts: Callable[[], Accounts]) -> None:
        self._accounts = accounts
        self._current: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Refreshes again and again until it is cancelled."""
        failing = False
        while True:
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001 -- ended, it would go on letting in revoked keys
                if not failing:
                    _LOG.warning("keys cannot be read", extra={"fields": {"problem": str(error)}})
                failing = True
            else:
                failing = False
            await asyncio.sleep(_INTERVAL_S)

    async def refresh(self) -> None:
        """Read the store, beginning after this call; all who wait share one reading.

        Raises RouterError if the store cannot be read.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._refresh_after(self._current))
            self._next.add_done_callback(_ignore_failure)
        await asyncio.shield(self._next)

    async def refresh_for_key(self) -> None:
        """As ``refresh``, for a caller whose key may just have been made by another process.

        Raises LedgerError if the store cannot be read within two seconds.
        """
        try:
            await asyncio.wait_for(self.refresh(), _TIMEOUT_S)
        except TimeoutError as error:
            raise LedgerError("this key cannot be checked: the ledger does not answer") from error
        except RouterError as error:
            raise LedgerError(f"this key cannot be checked: {error}") from error

    async def _refresh_after(self, current: "asyncio.Task[None] | None") -> None:
        if current is not None:
            await asyncio.wait({current})
        self._current, self._next = self._next, None
        await asyncio.to_thread(self._accounts().read)


def _ignore_failure(task: "asyncio.Task[None]") -> None:
    """Takes the failure, if any: nobody may be waiting for it any more."""
    if not task.cancelled():
        task.exception()

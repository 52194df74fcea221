"""Follows changes of keys and budgets by other processes: within a second, or at once.

Invariant: if the store cannot be read, nothing changes but the snapshot's age.
"""

import asyncio
import logging
from collections.abc import Callable

from turnout.core import ConfigError, LedgerError, RouterError
from turnout.runtime import Accounts

_LOOK_EVERY_S = 0.4
_PATIENCE_S = 2.0
_LOG = logging.getLogger("turnout.gateway")


class Watch:
    """Keeps the snapshot of the accounts that ``accounts`` returns like the store."""

    def __init__(self, accounts: Callable[[], Accounts]) -> None:
        self._accounts = accounts
        self._looking: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Looks again and again until it is cancelled."""
        failing = False
        while True:
            try:
                await self.look()
            except RouterError as error:
                if not failing:
                    _LOG.warning("keys cannot be read", extra={"fields": {"problem": str(error)}})
                failing = True
            else:
                failing = False
            await asyncio.sleep(_LOOK_EVERY_S)

    async def look(self) -> None:
        """A look at the store that begins after this call, shared by all who wait for it.

        Raises RouterError if the store cannot be read.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._look_after(self._looking))
            self._next.add_done_callback(_seen)
        await asyncio.shield(self._next)

    async def look_for_key(self) -> None:
        """As ``look``, for a caller whose key may just have been made by another process.

        Raises LedgerError if the store cannot be read within two seconds.
        """
        try:
            await asyncio.wait_for(self.look(), _PATIENCE_S)
        except TimeoutError as error:
            raise LedgerError("this key cannot be checked: the ledger does not answer") from error
        except RouterError as error:
            raise LedgerError(f"this key cannot be checked: {error}") from error

    async def _look_after(self, under_way: "asyncio.Task[None] | None") -> None:
        if under_way is not None:
            await asyncio.wait({under_way})
        self._looking, self._next = self._next, None
        await asyncio.to_thread(_read, self._accounts())


def _read(accounts: Accounts) -> None:
    """Read what has changed; a ledger that is not there yet is made. Raises RouterError."""
    try:
        accounts.refresh()
    except ConfigError:
        accounts.open()


def _seen(task: "asyncio.Task[None]") -> None:
    """Nobody may be left to hear of a failure."""
    if not task.cancelled():
        task.exception()

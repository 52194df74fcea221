"""Sees within a second what other processes have changed of keys and budgets.

Invariant: a store that cannot be read changes nothing; the snapshot only grows older.
"""

import asyncio
import logging
from collections.abc import Callable

from turnout.core import ConfigError, RouterError
from turnout.runtime import Accounts

LOOK_EVERY_S = 0.4
_LOG = logging.getLogger("turnout.gateway")


async def watch(accounts: Callable[[], Accounts]) -> None:
    """Looks until it is cancelled."""
    failing = False
    while True:
        try:
            await asyncio.to_thread(look, accounts())
        except RouterError as error:
            if not failing:
                _LOG.warning("keys cannot be read", extra={"fields": {"problem": str(error)}})
            failing = True
        else:
            failing = False
        await asyncio.sleep(LOOK_EVERY_S)


def look(accounts: Accounts) -> None:
    """Read what has changed; a ledger that is not there yet is made. Raises RouterError."""
    try:
        accounts.refresh()
    except ConfigError:
        accounts.open()

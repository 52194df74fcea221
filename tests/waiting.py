"""Waiting for what has no event, on a machine that may be busy."""

import asyncio
import time
from collections.abc import Callable


def soon(holds: Callable[[], object], within_s: float = 30) -> bool:
    """Whether it comes to hold in time."""
    until = time.monotonic() + within_s
    while not (held := holds()) and time.monotonic() < until:
        time.sleep(0.02)
    return bool(held)


async def soon_here(holds: Callable[[], object], within_s: float = 30) -> bool:
    """As ``soon``, while the running loop goes on."""
    until = time.monotonic() + within_s
    while not (held := holds()) and time.monotonic() < until:  # noqa: ASYNC110 -- no event
        await asyncio.sleep(0.01)
    return bool(held)

"""Work on what is long, done on a thread, so that no other request waits.

This module does not know what the work is.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Bytes of a body that are read, counted or written anew on the event loop itself.
BYTES_AT_ONCE = 256 * 1024
# Characters that are read on the event loop itself, within about a millisecond.
CHARACTERS_AT_ONCE = 5000


async def worked(body_bytes: int, work: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
    """What the work on a body of so many bytes comes to."""
    if body_bytes > BYTES_AT_ONCE:
        return await asyncio.to_thread(work, *args, **more)
    return work(*args, **more)


async def done(aside: Executor, work: Callable[..., T], *arguments: Any) -> T:
    """What the work comes to, done there."""
    return await asyncio.get_running_loop().run_in_executor(aside, work, *arguments)

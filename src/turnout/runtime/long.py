"""Moves long work from the event loop to a thread, so that no other request waits for it.

This module does not know what the work is.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# The longest body that is read, counted or rewritten on the event loop itself.
BYTES_AT_ONCE = 256 * 1024
# The longest text that is classified on the event loop itself, in about a millisecond.
CHARACTERS_AT_ONCE = 5000


async def worked(body_bytes: int, work: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
    """The result of work on a body of so many bytes, done on a thread if it is long."""
    if body_bytes > BYTES_AT_ONCE:
        return await asyncio.to_thread(work, *args, **more)
    return work(*args, **more)


async def done(aside: Executor, work: Callable[..., T], *arguments: Any) -> T:
    """The result of work done on a thread of ``aside``."""
    return await asyncio.get_running_loop().run_in_executor(aside, work, *arguments)

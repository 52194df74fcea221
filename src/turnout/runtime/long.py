"""Work on a request that is done on a thread where its body is long, so that no other one waits.

This module does not know what the work is.
"""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Bytes of a body that are read, counted or written anew on the event loop itself.
_AT_ONCE = 256 * 1024


async def worked(body_bytes: int, work: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
    """What the work on a body of so many bytes comes to."""
    if body_bytes > _AT_ONCE:
        return await asyncio.to_thread(work, *args, **more)
    return work(*args, **more)

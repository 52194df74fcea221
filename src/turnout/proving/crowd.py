"""Much work at a time, by tasks of which each takes the next piece when it is done with one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Job = TypeVar("Job")


async def share(jobs: Iterable[Job], work: Callable[[Job], Awaitable[object]], tasks: int) -> None:
    """Has ``tasks`` do the jobs."""
    left = iter(jobs)

    async def task() -> None:
        for job in left:
            await work(job)

    await asyncio.gather(*(task() for _ in range(tasks)))

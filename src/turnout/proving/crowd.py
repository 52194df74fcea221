"""Many jobs at a time, by tasks that each take the next job when one is done."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Job = TypeVar("Job")


async def run_concurrently(
    jobs: Iterable[Job], work: Callable[[Job], Awaitable[object]], tasks: int
) -> None:
    """Does the jobs with so many ``tasks``."""
    remaining = iter(jobs)

    async def task() -> None:
        for job in remaining:
            await work(job)

    await asyncio.gather(*(task() for _ in range(tasks)))

"""Requests that arrive together are processed together, one step of the work at a time.

A request runs through more code and data than a processor's nearest caches hold. Served one after
another, each request waits for memory anew. If instead each waits after a step until the others
have done it, what the first one loads into the caches serves all: cohort scheduling (Larus and
Parkes 2002). This module does not know what the work is.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from types import coroutine
from typing import Generic, Self, TypeVar

# The most done at once: more gains little, and the loop has to look at its sockets in between.
_MOST_AT_ONCE = 32
# The most done at once on a thread, where each one waits for the last of its batch.
_MOST_PER_THREAD = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


class Cohort:
    """The requests under way on one event loop; each enters the context while it is served."""

    def __init__(self) -> None:
        self._inside = 0

    def __enter__(self) -> Self:
        self._inside += 1
        return self

    def __exit__(self, *error: object) -> None:
        self._inside -= 1

    @property
    def is_empty(self) -> bool:
        """Whether no request is under way."""
        return self._inside == 0

    @property
    def is_alone(self) -> bool:
        """Whether there is no second request to wait for."""
        return self._inside <= 1

    @coroutine
    def end_step(self) -> Generator[None]:
        """Ends a step: waits until the others have done it too, if there are others."""
        if self._inside > 1:
            yield  # as ``asyncio.sleep(0)``, with two frames less


class LoopBatcher(Generic[Item, Result]):
    """Work that is cheaper in batches: done once a step, for all requests that ask for it."""

    def __init__(self, cohort: Cohort, work: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self._cohort = cohort
        self._work = work
        self._pending: list[tuple[Item, asyncio.Future[Result]]] = []

    async def result_for(self, item: Item) -> Result:
        """The result for ``item``. Raises its own error only, not that of another in the batch."""
        if self._cohort.is_alone:
            return self._work([item])[0]
        loop = asyncio.get_running_loop()
        if not self._pending:
            loop.call_soon(self._run_batch, loop)
        future: asyncio.Future[Result] = loop.create_future()
        self._pending.append((item, future))
        return await future

    def _run_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self._pending = self._pending[:_MOST_AT_ONCE], self._pending[_MOST_AT_ONCE:]
        if self._pending:
            loop.call_soon(self._run_batch, loop)
        _run_batch(self._work, [each for each in batch if not each[1].done()])


class ThreadBatcher(Generic[Item, Result]):
    """Work on ``many`` threads that is cheaper in batches: all that waits for a thread is one."""

    def __init__(
        self, threads: Executor, many: int, work: Callable[[Sequence[Item]], Sequence[Result]]
    ) -> None:
        self._threads = threads
        self._many = many
        self._work = work
        self._waiting: deque[tuple[Item, Future[Result]]] = deque()

    async def result_for(self, item: Item) -> Result:
        """The result for ``item``. Raises its own error only, not that of another in the batch."""
        future: Future[Result] = Future()
        self._waiting.append((item, future))
        self._threads.submit(self._run_batch)
        return await asyncio.wrap_future(future)

    def _run_batch(self) -> None:
        """Does a thread's share of the waiting; one call is submitted for each, so none is left."""
        share = min(-(-len(self._waiting) // self._many), _MOST_PER_THREAD)
        batch: list[tuple[Item, Future[Result]]] = []
        with suppress(IndexError):
            while len(batch) < share:
                batch.append(self._waiting.popleft())
        _run_batch(self._work, [each for each in batch if each[1].set_running_or_notify_cancel()])


def _run_batch(
    work: Callable[[Sequence[Item]], Sequence[Result]],
    batch: Sequence[tuple[Item, "asyncio.Future[Result] | Future[Result]"]],
) -> None:
    """Does all at once, or, after an error, one by one, so that each gets its own error."""
    try:
        results = work([item for item, _ in batch]) if batch else []
    except Exception as error:  # noqa: BLE001 -- given to whoever waits for the result
        if len(batch) == 1:
            batch[0][1].set_exception(error)
            return
        for each in batch:
            _run_batch(work, [each])
    else:
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)

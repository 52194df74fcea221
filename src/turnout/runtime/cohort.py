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
_MOST = 32
# The most done at once on a thread, where each one waits for the last of its batch.
_MOST_BESIDE = 8

One = TypeVar("One")
Found = TypeVar("Found")


@coroutine
def _turn() -> Generator[None]:
    """As ``asyncio.sleep(0)``, but with one frame less."""
    yield


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
    def empty(self) -> bool:
        """Whether no request is under way."""
        return self._inside == 0

    @property
    def alone(self) -> bool:
        """Whether there is no second request to wait for."""
        return self._inside <= 1

    async def in_step(self) -> None:
        """Ends a step: waits until the others have done it too, if there are others."""
        if not self.alone:
            await _turn()


class Together(Generic[One, Found]):
    """Work that is cheaper in batches: done once a step, for all requests that ask for it."""

    def __init__(self, cohort: Cohort, work: Callable[[Sequence[One]], Sequence[Found]]) -> None:
        self._cohort = cohort
        self._work = work
        self._brought: list[tuple[One, asyncio.Future[Found]]] = []

    async def of(self, one: One) -> Found:
        """The result for ``one``. Raises its own error only, not that of another in the batch."""
        if self._cohort.alone:
            return self._work([one])[0]
        loop = asyncio.get_running_loop()
        if not self._brought:
            loop.call_soon(self._do, loop)
        found: asyncio.Future[Found] = loop.create_future()
        self._brought.append((one, found))
        return await found

    def _do(self, loop: asyncio.AbstractEventLoop) -> None:
        brought, self._brought = self._brought[:_MOST], self._brought[_MOST:]
        if self._brought:
            loop.call_soon(self._do, loop)
        _do(self._work, [each for each in brought if not each[1].done()])


class Beside(Generic[One, Found]):
    """Work on ``many`` threads that is cheaper in batches: all that waits for a thread is one."""

    def __init__(
        self, threads: Executor, many: int, work: Callable[[Sequence[One]], Sequence[Found]]
    ) -> None:
        self._threads = threads
        self._many = many
        self._work = work
        self._waiting: deque[tuple[One, Future[Found]]] = deque()

    async def of(self, one: One) -> Found:
        """The result for ``one``. Raises its own error only, not that of another in the batch."""
        found: Future[Found] = Future()
        self._waiting.append((one, found))
        self._threads.submit(self._do)
        return await asyncio.wrap_future(found)

    def _do(self) -> None:
        """Does a thread's share of the waiting; one call is submitted for each, so none is left."""
        share = min(-(-len(self._waiting) // self._many), _MOST_BESIDE)
        brought: list[tuple[One, Future[Found]]] = []
        with suppress(IndexError):
            while len(brought) < share:
                brought.append(self._waiting.popleft())
        _do(self._work, [each for each in brought if each[1].set_running_or_notify_cancel()])


def _do(
    work: Callable[[Sequence[One]], Sequence[Found]],
    brought: Sequence[tuple[One, "asyncio.Future[Found] | Future[Found]"]],
) -> None:
    """Does all at once, or, after an error, one by one, so that each gets its own error."""
    try:
        results = work([one for one, _ in brought]) if brought else []
    except Exception as error:  # noqa: BLE001 -- given to whoever waits for the result
        if len(brought) == 1:
            brought[0][1].set_exception(error)
            return
        for each in brought:
            _do(work, [each])
    else:
        for (_, found), result in zip(brought, results, strict=True):
            found.set_result(result)

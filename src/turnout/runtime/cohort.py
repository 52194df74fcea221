"""Requests that arrive together are carried through together, one step of the work at a time.

A request runs through more code and data than the caches next to a processor hold. Served one after
another, each request waits for memory anew; where each lets the others come as far as it has come,
what the first of them loads serves all: cohort scheduling (Larus & Parkes 2002).
This module does not know what the work is.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from types import coroutine
from typing import Generic, Self, TypeVar

# So many have most of the gain; the loop looks at its sockets before it goes on with more.
_MOST = 32
# So many have all of the gain on a thread, where each waits for the last of its batch.
_MOST_BESIDE = 8

One = TypeVar("One")
Found = TypeVar("Found")


@coroutine
def _turn() -> Generator[None]:
    """As ``asyncio.sleep(0)``, a frame less."""
    yield


class Cohort:
    """The requests that are under way on one event loop; each is inside while it is served."""

    def __init__(self) -> None:
        self._inside = 0

    def __enter__(self) -> Self:
        self._inside += 1
        return self

    def __exit__(self, *error: object) -> None:
        self._inside -= 1

    @property
    def empty(self) -> bool:
        """Whether nobody is inside."""
        return self._inside == 0

    @property
    def alone(self) -> bool:
        """Whether nobody else could come along."""
        return self._inside <= 1

    async def in_step(self) -> None:
        """Ends a step: goes on once the others have come as far, at once where there are none."""
        if not self.alone:
            await _turn()


class Together(Generic[One, Found]):
    """Work that is cheaper for many: done once a step, for all that its requests have brought."""

    def __init__(self, cohort: Cohort, work: Callable[[Sequence[One]], Sequence[Found]]) -> None:
        self._cohort = cohort
        self._work = work
        self._brought: list[tuple[One, asyncio.Future[Found]]] = []

    async def of(self, one: One) -> Found:
        """What the work finds for ``one``; its error is nobody else's."""
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
    """Work on ``many`` threads that is cheaper for many: done together is what waits for one."""

    def __init__(
        self, threads: Executor, many: int, work: Callable[[Sequence[One]], Sequence[Found]]
    ) -> None:
        self._threads = threads
        self._many = many
        self._work = work
        self._waiting: deque[tuple[One, Future[Found]]] = deque()

    async def of(self, one: One) -> Found:
        """What the work finds for ``one``; its error is nobody else's."""
        found: Future[Found] = Future()
        self._waiting.append((one, found))
        self._threads.submit(self._do)
        return await asyncio.wrap_future(found)

    def _do(self) -> None:
        """Does a thread's share; it was submitted for each who waits, so that none is left."""
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
    """Does all at once; whose an error is shows when each is done by itself."""
    try:
        results = work([one for one, _ in brought]) if brought else []
    except Exception as error:  # noqa: BLE001 -- told to who waits for it
        if len(brought) == 1:
            brought[0][1].set_exception(error)
            return
        for each in brought:
            _do(work, [each])
    else:
        for (_, found), result in zip(brought, results, strict=True):
            found.set_result(result)

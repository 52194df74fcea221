"""Requests that arrive together are carried through together, one step of the work at a time.

A request runs through more code and data than the caches next to a processor hold. Served one after
another, each request waits for memory anew; where each lets the others come as far as it has come,
what the first of them loads serves all: cohort scheduling (Larus & Parkes 2002).
"""

import asyncio
from collections.abc import Callable, Generator, Sequence
from types import TracebackType, coroutine
from typing import Generic, Self, TypeVar

# So many have most of the gain; the loop looks at its sockets before it goes on with more.
_MOST = 32

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._inside -= 1

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
        waited = [(one, found) for one, found in brought if not found.done()]
        try:
            results = self._work([one for one, _ in waited])
        except Exception:  # noqa: BLE001 -- whose it is shows when each is done by itself
            for each in waited:
                self._by_itself(*each)
            return
        for (_, found), result in zip(waited, results, strict=True):
            found.set_result(result)

    def _by_itself(self, one: One, found: "asyncio.Future[Found]") -> None:
        try:
            found.set_result(self._work([one])[0])
        except Exception as error:  # noqa: BLE001 -- told to who waits for it
            found.set_exception(error)

"""Requests that arrive together are carried through together, one step of the work at a time.

A request runs through more code and data than the caches next to a processor hold. Served one after
another, each request waits for memory anew; where each lets the others come as far as it has come,
what the first of them loads serves all: cohort scheduling (Larus & Parkes 2002).
"""

from collections.abc import Generator
from types import TracebackType, coroutine
from typing import Self


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

    async def in_step(self) -> None:
        """Ends a step: goes on once the others have come as far, at once where there are none."""
        if self._inside > 1:
            await _turn()

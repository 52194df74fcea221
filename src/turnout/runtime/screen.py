"""Holds a streamed answer back, so that each chunk is scanned before it leaves.

Invariant: no chunk leaves before all of it was scanned together with the next ``keep`` characters,
or with the answer's end. What is still held when a stream breaks off never leaves.
This module does not know how texts are scored.
"""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field

from turnout.core import Chunk
from turnout.runtime.scanner import Scanner
from turnout.runtime.written import written

CHARACTERS_PER_TOKEN = 4


@dataclass(slots=True, kw_only=True)
class Screen:
    """One answer's window: ``keep`` characters are held back, and scanned every ``stride``.

    ``stopped`` is why the answer was stopped; ``released`` says that some of it has left;
    ``choices`` are those that have begun.
    """

    scanner: Scanner
    keep: int
    stride: int
    stopped: str | None = None
    released: bool = False
    choices: set[int] = field(default_factory=set)
    _held: deque[tuple[int, Chunk]] = field(default_factory=deque)
    _fresh: dict[str, str] = field(default_factory=dict)
    _seen: int = 0
    _scanned: int = 0

    async def through(self, batches: AsyncIterator[Sequence[Chunk]]) -> AsyncGenerator[Chunk, None]:
        """The chunks that may leave; ends early once ``stopped``."""
        async for batch in batches:
            for chunk in batch:
                self._hold(chunk)
                if self._seen - self._scanned >= self.stride:
                    await self._scan()
                    if self.stopped:
                        return
                    for free in self._free(self._scanned - self.keep):
                        yield free

    async def rest(self) -> AsyncGenerator[Chunk, None]:
        """The chunks still held of an answer that came to its end."""
        await self._scan()
        if not self.stopped:
            for free in self._free(self._seen):
                yield free

    def _hold(self, chunk: Chunk) -> None:
        self.choices.update([delta.choice for delta in chunk.deltas])
        for part, text in written(chunk):
            self._fresh[part] = self._fresh.get(part, "") + text
            self._seen += len(text)
        self._held.append((self._seen, chunk))

    async def _scan(self) -> None:
        self.stopped = await self.scanner.scan(self._fresh)
        self._scanned = self._seen
        self._fresh = {}

    def _free(self, upto: int) -> list[Chunk]:
        free = []
        while self._held and self._held[0][0] <= upto:
            free.append(self._held.popleft()[1])
        # Chunks before the first text (a role, a start) do not count as released.
        self.released = self.released or any(chunk.has_content for chunk in free)
        return free

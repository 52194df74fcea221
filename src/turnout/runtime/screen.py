"""Holds a streamed answer back, so that each chunk is scanned before it leaves.

Invariant: no chunk leaves before all of it was scanned together with the next ``hold_characters``
characters, or with the answer's end. What is still held when a stream breaks off never leaves.
This module does not know how texts are scored.
"""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field

from turnout.core import Chunk
from turnout.runtime.answer_texts import answer_texts
from turnout.runtime.scanner import Scanner

CHARACTERS_PER_TOKEN = 4


@dataclass(slots=True, kw_only=True)
class Screen:
    """One answer's window: ``hold_characters`` are held back, and scanned every ``stride``.

    ``stopped`` is why the answer was stopped; ``released`` says that some of it has left;
    ``choices`` are those that have begun.
    """

    scanner: Scanner
    hold_characters: int
    stride: int
    stopped: str | None = None
    released: bool = False
    choices: set[int] = field(default_factory=set)
    _held: deque[tuple[int, Chunk]] = field(default_factory=deque)
    _unscanned: dict[str, str] = field(default_factory=dict)
    _seen: int = 0
    _scanned: int = 0

    async def releasable(
        self, batches: AsyncIterator[Sequence[Chunk]]
    ) -> AsyncGenerator[Chunk, None]:
        """The chunks that may leave; ends early once ``stopped``."""
        async for batch in batches:
            for chunk in batch:
                self._hold(chunk)
                if self._seen - self._scanned >= self.stride:
                    await self._scan()
                    if self.stopped:
                        return
                    for released in self._release(self._scanned - self.hold_characters):
                        yield released

    async def remaining(self) -> AsyncGenerator[Chunk, None]:
        """The chunks still held of an answer that came to its end."""
        await self._scan()
        if not self.stopped:
            for chunk in self._release(self._seen):
                yield chunk

    def _hold(self, chunk: Chunk) -> None:
        self.choices.update([delta.choice for delta in chunk.deltas])
        for part, text in answer_texts(chunk):
            self._unscanned[part] = self._unscanned.get(part, "") + text
            self._seen += len(text)
        self._held.append((self._seen, chunk))

    async def _scan(self) -> None:
        self.stopped = await self.scanner.scan(self._unscanned)
        self._scanned = self._seen
        self._unscanned = {}

    def _release(self, upto: int) -> list[Chunk]:
        released_chunks = []
        while self._held and self._held[0][0] <= upto:
            released_chunks.append(self._held.popleft()[1])
        # Chunks before the first text (a role, a start) do not count as released.
        self.released = self.released or any(chunk.has_content for chunk in released_chunks)
        return released_chunks

"""A call to a provider that bills an answer to its end, even if nobody reads it any more.

Invariant: when the caller has left, the rest of the answer is read and counted, but not kept. This
goes on for a bounded time and in a bounded number of calls; then the call is cancelled.
This module does not know why a caller left.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from msgspec import field

from turnout.core import Chunk
from turnout.runtime.call import Call

MOST_DRAINS = 64
_AHEAD = 16

_Item = Sequence[Chunk] | Exception | None

_drains: set[int] = set()


class DrainingCall(Call, kw_only=True):
    """A call whose answer is read in a task of its own, at most ``_AHEAD`` batches ahead."""

    _queue: "asyncio.Queue[_Item]" = field(default_factory=lambda: asyncio.Queue(_AHEAD))
    _caller_left: bool = False

    async def _chunk_batches(self) -> AsyncGenerator[Sequence[Chunk], None]:
        pump = asyncio.create_task(self._pump())
        try:
            while (item := await self._queue.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        except (asyncio.CancelledError, GeneratorExit):
            await self._drain(pump)
            raise
        finally:
            pump.cancel()

    async def _fetch(self) -> Chunk:
        fetch = asyncio.create_task(super()._fetch())
        try:
            return await asyncio.shield(fetch)
        except asyncio.CancelledError:
            await self._drain(fetch)
            if fetch.done() and not fetch.cancelled() and fetch.exception() is None:
                self._note_chunks((fetch.result(),))
            raise

    async def _pump(self) -> None:
        """Reads the answer to its end, and hands it over as long as the caller is there."""
        try:
            async for batch in super()._chunk_batches():
                if not self._caller_left:
                    await self._queue.put(batch)
        except Exception as error:  # noqa: BLE001 -- raised where the answer is read
            await self._put_end(error)
        else:
            await self._put_end(None)

    async def _put_end(self, end: Exception | None) -> None:
        if not self._caller_left:
            await self._queue.put(end)

    async def _drain(self, reading: "asyncio.Task[object]") -> None:
        """Waits until the rest is read, within the limits on time and number."""
        self._caller_left = True
        while not self._queue.empty():
            self._queue.get_nowait()
        provider = self.target.provider
        if len(_drains) < MOST_DRAINS:
            _drains.add(id(self))
            try:
                await asyncio.wait({reading}, timeout=provider.drain_s)
            finally:
                _drains.discard(id(self))
        if not reading.done():
            reading.cancel()
            await asyncio.wait({reading}, timeout=1.0)

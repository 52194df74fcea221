"""An event loop on a background thread, by which blocking callers use asynchronous code.

Invariant: every coroutine handed over runs on that one loop.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class BackgroundLoop:
    """Starts its thread when it is first used; ``close`` ends it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result; an interrupt of the caller cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._running())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, items: AsyncIterator[T]) -> Generator[T]:
        """The items one by one."""
        end = object()

        async def advance() -> T | object:
            return await anext(items, end)

        while (item := self.run(advance())) is not end:
            yield item  # type: ignore[misc]

    def close_iterator(self, items: AsyncIterator[Any]) -> None:
        """Close what ``iterate`` iterates over, also if that has not begun."""
        close = getattr(items, "aclose", None)
        # If the loop has ended, what ran on it is closed already.
        if close is not None and self._loop is not None:
            with suppress(RuntimeError):
                self.run(close())

    def close(self) -> None:
        """End the thread; closing twice is harmless."""
        with self._starting:
            if self._loop is None or self._thread is None:
                return
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="turnout", daemon=True
                )
                self._thread.start()
            return self._loop

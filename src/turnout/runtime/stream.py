"""Streamed answers: chunks in OpenAI's shape, and the account once they are over.

Invariant: a stream ends cleanly or with an exception; never with a silent truncation.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from turnout.core import Decision
from turnout.runtime.loop import BackgroundLoop
from turnout.runtime.reply import Reply


class Stream:
    """An answer on its way: iterate it, then read ``reply``."""

    def __init__(
        self, decision: Decision, chunks: AsyncIterator[dict[str, Any]], reply: Callable[[], Reply]
    ) -> None:
        self.decision = decision
        self._chunks = chunks
        self._reply = reply

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self._chunks

    async def aclose(self) -> None:
        """Stop the answer and free its connection."""
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()

    @property
    def reply(self) -> Reply:
        """The whole answer and its account, complete once the stream is over."""
        return self._reply()


class BlockingStream:
    """The same for blocking callers."""

    def __init__(self, stream: Stream, loop: BackgroundLoop) -> None:
        self.decision = stream.decision
        self._stream = stream
        self._items = loop.iterate(aiter(stream))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._items

    def close(self) -> None:
        """Stop the answer and free its connection."""
        close = getattr(self._items, "close", None)
        if close is not None:
            close()

    @property
    def reply(self) -> Reply:
        """The whole answer and its account, complete once the stream is over."""
        return self._stream.reply

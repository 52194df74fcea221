"""Streamed answers: chunks in OpenAI's shape, and then the account.

Invariant: a stream ends cleanly or with an exception, never truncated in silence.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from typing import Any, Self

from turnout.core import Decision
from turnout.runtime.edge import failure
from turnout.runtime.loop import BackgroundLoop
from turnout.runtime.reply import Reply, chunk_body, refusal_chunks
from turnout.runtime.transcript import Transcript
from turnout.runtime.walk import Walk


class Stream:
    """An answer on its way: iterate over it, then read ``reply``.

    ``release`` frees what was held for an answer that was never begun. One that is dropped unread
    or half read is stopped by a task, which ``stopping`` keeps.
    """

    def __init__(
        self,
        decision: Decision,
        chunks: AsyncGenerator[dict[str, Any], None],
        reply: Callable[[], Reply],
        release: Callable[[], Awaitable[None]],
        stopping: set[asyncio.Task[None]],
    ) -> None:
        self.decision = decision
        self._chunks = chunks
        self._reply = reply
        self._release = release
        self._stopping = stopping
        self._loop = asyncio.get_running_loop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        return await anext(self._chunks)

    async def aclose(self) -> None:
        """Stop the answer, free its connection, and settle what was used."""
        await _stop(self._chunks, self._release)

    def __del__(self) -> None:
        # Any thread may collect garbage, that of the loop as well: nothing is waited for here.
        if getattr(self._chunks, "ag_frame", None) is not None:  # else it has ended
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(
                    _stop_soon, self._chunks, self._release, self._stopping
                )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    @property
    def reply(self) -> Reply:
        """The whole answer and its account, complete once the stream is over."""
        return self._reply()


Chunks = AsyncGenerator[dict[str, Any], None]


async def _stop(chunks: Chunks, release: Callable[[], Awaitable[None]]) -> None:
    # A task that is just iterating over it will end it.
    with suppress(RuntimeError):
        await chunks.aclose()
        await release()


def _stop_soon(
    chunks: Chunks, release: Callable[[], Awaitable[None]], stopping: set[asyncio.Task[None]]
) -> None:
    task = asyncio.create_task(_stop(chunks, release))
    stopping.add(task)
    task.add_done_callback(stopping.discard)


class BlockingStream:
    """A Stream for callers without an event loop."""

    def __init__(self, stream: Stream, loop: BackgroundLoop) -> None:
        self.decision = stream.decision
        self._stream = stream
        self._loop = loop
        self._items = loop.iterate(stream)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._items

    def close(self) -> None:
        """Stop the answer and free its connection."""
        self._items.close()
        self._loop.close_iterator(self._stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def reply(self) -> Reply:
        """The whole answer and its account, complete once the stream is over."""
        return self._stream.reply


async def chunk_bodies(walk: Walk, transcript: Transcript) -> AsyncGenerator[dict[str, Any], None]:
    """The walk's chunks in OpenAI's shape, or its refusal, each noted in ``transcript``.

    Raises ProviderError or AllRoutesFailed if the answer does not come to its end.
    """
    created = int(time.time())
    # The provider is asked for usage in any case; the caller sees it only on request.
    wants_usage = (walk.request.body.get("stream_options") or {}).get("include_usage")
    async with aclosing(walk.stream()) as batches:
        async for batch in batches:
            for chunk in batch:
                body = transcript.note(chunk_body(chunk, walk.decision, chunk.model or "", created))
                if body["choices"] or wants_usage:
                    yield body
    if walk.decision.blocked:
        for body in refusal_chunks(walk.decision, created):
            yield transcript.note(body)
    elif not walk.complete:
        raise failure(walk.decision, walk.outcomes)

"""A TCP proxy that damages a connection on purpose, whatever its protocol.

Invariant: bytes are delayed, cut or held back but never changed or reordered.
Of the protocol this module knows only that a blank line ends an event of a stream.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

from turnout.testing.local_server import LocalServer, reset

_READ_BYTES = 65536
_EVENT_END = b"\n\n"

Cut = Literal["reset", "close", "stall"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxics:
    """The damage done to the bytes on their way from the server to the client.

    ``latency_s`` passes before each piece; ``bytes_per_s`` is the bandwidth; ``slice_bytes`` splits
    pieces into ones of that size. ``limit_bytes`` closes the connection after so many bytes and
    ``reset_bytes`` resets it; ``slow_close_s`` delays the end. With ``timeout_s`` nothing is
    answered and the connection is closed after that time (0: never). ``cut_event`` ends the
    connection after so many events of a stream, in the manner of ``cut``.
    """

    latency_s: float = 0.0
    bytes_per_s: float | None = None
    slice_bytes: int | None = None
    limit_bytes: int | None = None
    reset_bytes: int | None = None
    slow_close_s: float = 0.0
    timeout_s: float | None = None
    cut_event: int | None = None
    cut: Cut = "reset"


class FaultProxy(LocalServer):
    """A proxy on ``port`` for the server at ``target``, as ``with`` or ``async with``.

    Its toxics may be changed while it runs; ``down`` refuses connections.
    """

    def __init__(self, target: int, toxics: Toxics | None = None) -> None:
        super().__init__()
        self._toxics = toxics or Toxics()
        self._target = target
        self._down = False

    def change(self, toxics: Toxics | None = None, *, down: bool = False) -> None:
        """Ends the open connections, and applies ``toxics`` to later ones. For ``with`` only."""
        if self._loop is None:
            raise RuntimeError(
                "change is for `with`; use `await change_async(...)` inside `async with`"
            )
        asyncio.run_coroutine_threadsafe(self.change_async(toxics, down=down), self._loop).result()

    async def change_async(self, toxics: Toxics | None = None, *, down: bool = False) -> None:
        """The same on the proxy's own loop."""
        self._toxics = toxics or Toxics()
        if down or self._down:
            await self._close()
        else:
            await self._end_connections()
        if self._down and not down:
            await self._open()
        self._down = down

    async def _serve_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        toxics = self._toxics
        try:
            if toxics.timeout_s is not None:
                await asyncio.wait_for(_discard(reader), toxics.timeout_s or None)
                return
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
            upload = asyncio.create_task(_pump(reader, server_writer))
            try:
                await _download(server_reader, writer, toxics)
            finally:
                upload.cancel()
                server_writer.close()
        except (OSError, asyncio.CancelledError, TimeoutError):
            pass  # a peer or the test is gone, so there is nowhere to report it
        finally:
            writer.close()


async def _discard(reader: asyncio.StreamReader) -> None:
    while await reader.read(_READ_BYTES):
        pass


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_READ_BYTES):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        return


async def _download(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, toxics: Toxics
) -> None:
    """Passes the server's bytes on until they end or a toxic ends them."""
    sent = 0
    events = _EventLimit(toxics.cut_event)
    async for piece in _pieces(reader, toxics):
        passed, is_whole = events.pass_until_limit(piece)
        limit = min(
            (n for n in (toxics.limit_bytes, toxics.reset_bytes) if n is not None), default=None
        )
        if limit is not None:
            passed = passed[: max(0, limit - sent)]
        sent += len(passed)
        writer.write(passed)
        await writer.drain()
        if toxics.bytes_per_s:
            await asyncio.sleep(len(passed) / toxics.bytes_per_s)
        if not is_whole:
            await _end(writer, toxics.cut)
            return
        if limit is not None and sent >= limit:
            await _end(writer, "reset" if limit == toxics.reset_bytes else "close")
            return
    await asyncio.sleep(toxics.slow_close_s)


async def _pieces(reader: asyncio.StreamReader, toxics: Toxics) -> AsyncIterator[bytes]:
    while data := await reader.read(_READ_BYTES):
        size = toxics.slice_bytes or len(data)
        for index in range(0, len(data), size):
            if toxics.latency_s:
                await asyncio.sleep(toxics.latency_s)
            yield data[index : index + size]


class _EventLimit:
    """Counts the events that have passed."""

    def __init__(self, max_events: int | None) -> None:
        self._max_events = max_events
        self._count = 0
        self._tail = b""

    def pass_until_limit(self, piece: bytes) -> tuple[bytes, bool]:
        """The part of the piece that may pass, and whether that is all of it."""
        if self._max_events is None:
            return piece, True
        text = self._tail + piece
        index = 0
        while self._count < self._max_events:
            found = text.find(_EVENT_END, index)
            if found < 0:
                self._tail = text[max(index, len(text) - 1) :]
                return piece, True
            self._count += 1
            index = found + len(_EVENT_END)
        return piece[: index - len(self._tail)], False


async def _end(writer: asyncio.StreamWriter, cut: Cut) -> None:
    if cut == "stall":
        await asyncio.Event().wait()
    elif cut == "reset":
        await asyncio.sleep(0.02)  # what was sent before has to arrive
        reset(writer)

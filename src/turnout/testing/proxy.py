"""A TCP proxy that damages a connection on purpose, whatever its protocol.

Invariant: bytes are delayed, cut or held back but never changed or reordered.
Of the protocol this module knows only that a blank line ends an event of a stream.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

from turnout.testing.local_server import LocalServer, reset

_READ = 65536
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
            raise RuntimeError("change is for `with`; use `await turn(...)` inside `async with`")
        asyncio.run_coroutine_threadsafe(self.turn(toxics, down=down), self._loop).result()

    async def turn(self, toxics: Toxics | None = None, *, down: bool = False) -> None:
        """The same on the proxy's own loop."""
        self._toxics = toxics or Toxics()
        if down or self._down:
            await self._close()
        else:
            await self._drop()
        if self._down and not down:
            await self._open()
        self._down = down

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        toxics = self._toxics
        try:
            if toxics.timeout_s is not None:
                await asyncio.wait_for(_swallow(reader), toxics.timeout_s or None)
                return
            there, out = await asyncio.open_connection("127.0.0.1", self._target)
            sending = asyncio.create_task(_pump(reader, out))
            try:
                await _spoil(there, writer, toxics)
            finally:
                sending.cancel()
                out.close()
        except (OSError, asyncio.CancelledError, TimeoutError):
            pass  # a peer or the test is gone, so there is nowhere to report it
        finally:
            writer.close()


async def _swallow(reader: asyncio.StreamReader) -> None:
    while await reader.read(_READ):
        pass


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_READ):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        return


async def _spoil(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, t: Toxics) -> None:
    """Passes the server's bytes on until they end or a toxic ends them."""
    sent = 0
    events = _Events(t.cut_event)
    async for piece in _pieces(reader, t):
        kept, whole = events.until(piece)
        limit = min((n for n in (t.limit_bytes, t.reset_bytes) if n is not None), default=None)
        if limit is not None:
            kept = kept[: max(0, limit - sent)]
        sent += len(kept)
        writer.write(kept)
        await writer.drain()
        if t.bytes_per_s:
            await asyncio.sleep(len(kept) / t.bytes_per_s)
        if not whole:
            await _end(writer, t.cut)
            return
        if limit is not None and sent >= limit:
            await _end(writer, "reset" if limit == t.reset_bytes else "close")
            return
    await asyncio.sleep(t.slow_close_s)


async def _pieces(reader: asyncio.StreamReader, t: Toxics) -> AsyncIterator[bytes]:
    while data := await reader.read(_READ):
        size = t.slice_bytes or len(data)
        for place in range(0, len(data), size):
            if t.latency_s:
                await asyncio.sleep(t.latency_s)
            yield data[place : place + size]


class _Events:
    """Counts the events that have passed."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._seen = 0
        self._tail = b""

    def until(self, piece: bytes) -> tuple[bytes, bool]:
        """The part of the piece that may pass, and whether that is all of it."""
        if self._most is None:
            return piece, True
        text = self._tail + piece
        place = 0
        while self._seen < self._most:
            found = text.find(_EVENT_END, place)
            if found < 0:
                self._tail = text[max(place, len(text) - 1) :]
                return piece, True
            self._seen += 1
            place = found + len(_EVENT_END)
        return piece[: place - len(self._tail)], False


async def _end(writer: asyncio.StreamWriter, cut: Cut) -> None:
    if cut == "stall":
        await asyncio.Event().wait()
    elif cut == "reset":
        await asyncio.sleep(0.02)  # what was sent before has to arrive
        reset(writer)

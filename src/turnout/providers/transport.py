"""The one door to the network.

Invariant: a connection is used again only after a body was read to its end; redirects are never
followed; the time and bytes of an answer are bounded.
This module does not look into bodies.
"""

import asyncio
import ssl
import zlib
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any

from turnout.core import Fault
from turnout.providers.connecting import (
    NoConnectionInTime,
    OutOfSockets,
    Unreachable,
    Unresolved,
)
from turnout.providers.connection_faults import fault_of
from turnout.providers.deadlines import Deadlines, no_first_byte
from turnout.providers.decompress import Inflate, UnknownEncoding, inflater
from turnout.providers.http1 import BrokenHttp, BrokenOff, ClosedEarly, Connection
from turnout.providers.pool import Pool
from turnout.providers.protocol import Timeouts, TransportError, WireRequest
from turnout.providers.target import NotAnAddress, Target, target_of

_MAX_ANSWER_BYTES = 64 * 2**20  # of a body, decompressed
_KEEPALIVE_S = 15.0
_DRAIN_S = 0.1
_DRAIN_BYTES = 64 * 1024


class Unsendable(Exception):
    """The request would be read as another one than it is."""


_FAILURES = (
    NotAnAddress,
    Unsendable,
    Unresolved,
    Unreachable,
    OutOfSockets,
    NoConnectionInTime,
    ssl.SSLError,
    BrokenHttp,
    BrokenOff,
    ClosedEarly,
    OSError,
)


class HttpTransport:
    """Sends requests over HTTP/1.1; one pool of connections for each event loop it is used on.

    ``keepalive_s`` is how long an idle connection is kept.
    """

    def __init__(self, *, keepalive_s: float = _KEEPALIVE_S) -> None:
        self._keepalive_s = keepalive_s
        self._pools: dict[asyncio.AbstractEventLoop, Pool] = {}

    async def send(self, request: WireRequest, timeouts: Timeouts) -> "HttpResponse":
        """The answer's head. Raises TransportError with a classified fault."""
        pool = self._pool()
        now = pool.loop.time()
        deadlines = Deadlines.starting(now, timeouts)
        name = request.url
        connection: Connection | None = None
        try:
            target = target_of(request.url)
            name = target.name
            data = _written(request, target)
            due = min(now + timeouts.connect_s, deadlines.first_byte)
            connection = pool.idle(target) or await pool.get(target, due)
            connection.ask(data)
            while not connection.has_head:
                await connection.progress(deadlines.first_byte)
            return HttpResponse(connection, pool, target, deadlines)
        except UnknownEncoding as error:
            fault = _bad(f"the answer has the encoding {error}, which is not supported")
            raise _closed(connection, fault) from error
        except TimeoutError as error:
            raise _closed(connection, no_first_byte(timeouts)) from error
        except _FAILURES as error:
            if connection is not None:
                # Who ended this one may have ended those that were idle for longer.
                pool.close_idle(target)
            raise _closed(connection, fault_of(error, name)) from error
        except asyncio.CancelledError:
            if connection is not None:
                connection.close()
            raise

    async def aclose(self) -> None:
        """Close every connection made on the running event loop."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            pool.close()
            # The loop closes sockets in its next turn.
            await asyncio.sleep(0)

    def _pool(self) -> Pool:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            pool = self._pools[loop] = Pool(loop, self._keepalive_s)
        return pool


class HttpResponse:
    """An answer whose head has arrived; ``over`` as in WireResponse."""

    def __init__(
        self, connection: Connection, pool: Pool, target: Target, deadlines: Deadlines
    ) -> None:
        self.status: int = connection.status
        self._head = connection.headers
        self._inflate = _inflater(connection.headers)
        self._unpacked: Iterator[bytes] = iter(())
        self._connection: Connection | None = connection
        self._pool = pool
        self._target = target
        self._deadlines = deadlines
        self._left = _MAX_ANSWER_BYTES
        self.over = False

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, with names in lower case; of a name given twice the last one counts."""
        return {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in self._head}

    def read(self, due: float | None = None) -> Coroutine[Any, Any, bytes]:
        """As WireResponse.read.

        Raises TransportError, or TimeoutError if nothing came by ``due`` on the loop's clock.
        """
        return self._raw(due) if self._inflate is None else self._inflated(due, self._inflate)

    async def aclose(self, *, reuse: bool = False) -> None:
        """As WireResponse.aclose."""
        connection = self._connection
        if connection is None:
            return
        try:
            if reuse and not connection.reusable:
                await self._drain(connection)
        finally:
            self._give_back()

    async def _inflated(self, due: float | None, inflate: Inflate) -> bytes:
        while not (piece := self._next_piece()):
            data = await self._raw(due)
            if not data:
                return b""
            self._unpacked = inflate(data)
        return self._counted(piece)

    async def _raw(self, due: float | None) -> bytes:
        connection = self._connection
        if connection is None:
            return b""
        data = connection.take() or await self._awaited(connection, due)
        if connection.over:
            self._give_back()
        return data if self._inflate else self._counted(data)

    async def _awaited(self, connection: Connection, due: float | None) -> bytes:
        """The next bytes of the body as they came, empty only at its end."""
        first = self._left == _MAX_ANSWER_BYTES
        deadline = self._deadlines.next(self._pool.loop.time(), first=first)
        until = deadline if due is None else min(deadline, due)
        try:
            while not connection.over:
                await connection.progress(until)
                if data := connection.take():
                    return data
        except TimeoutError as error:
            if until < deadline:
                raise
            raise self._end(self._deadlines.missed(deadline, first=first)) from error
        except _FAILURES as error:
            raise self._end(fault_of(error, self._target.name, in_body=True)) from error
        except asyncio.CancelledError:
            connection.close()
            raise
        return b""

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise self._end(_bad(f"the answer is larger than {_MAX_ANSWER_BYTES} bytes"))
        return data

    def _next_piece(self) -> bytes:
        """The next step of decompression, empty when more bytes are needed."""
        try:
            return next(self._unpacked, b"")
        except zlib.error as error:
            raise self._end(_bad("the compressed answer is damaged")) from error

    def _end(self, fault: Fault) -> TransportError:
        return _closed(self._connection, fault)

    def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        self.over = self._inflate is None
        if connection is not None:
            self._pool.give(self._target, connection)

    async def _drain(self, connection: Connection) -> None:
        """Reads a short rest of the body, so that its connection can be used again."""
        left, due = _DRAIN_BYTES, self._pool.loop.time() + _DRAIN_S
        try:
            while left > 0 and not connection.over:
                left -= len(connection.take())
                if not connection.over:
                    await connection.progress(due)
        except (TimeoutError, *_FAILURES):
            connection.close()


def _inflater(headers: list[tuple[bytes, bytes]]) -> Inflate | None:
    """What decompresses the body, None if it is not compressed. Raises UnknownEncoding."""
    for name, value in headers:
        if name.lower() == b"content-encoding":
            return inflater(value.decode("latin-1"))
    return None


def _written(request: WireRequest, target: Target) -> bytes:
    """The request's bytes. Raises Unsendable for headers that would smuggle in others."""
    lines = [
        f"{request.method} {target.path} HTTP/1.1",
        f"Host: {target.authority}",
        "Accept-Encoding: identity",
        f"Content-Length: {len(request.body)}",
        *map(": ".join, request.headers.items()),
    ]
    said = "".join(lines)
    if "\n" in said or "\r" in said or "\0" in said:
        raise Unsendable("a header holds a line break; check the key and the headers")
    return "\r\n".join([*lines, "\r\n"]).encode() + request.body


def _closed(connection: Connection | None, fault: Fault) -> TransportError:
    if connection is not None:
        connection.close()
    return TransportError(fault)


def _bad(detail: str) -> Fault:
    return Fault(kind="bad_response", detail=detail)

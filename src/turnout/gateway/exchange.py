"""One request and its response, as a handler sees them.

Invariant: a response begins once and ends once, its head is sent together with its first bytes, and
a slow reader is waited for. This module does not know dialects.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Protocol

Header = tuple[bytes, bytes]
Headers = list[Header]

JSON: Header = (b"content-type", b"application/json")
EVENTS: Header = (b"content-type", b"text/event-stream; charset=utf-8")
_CHUNKED: Header = (b"transfer-encoding", b"chunked")
_CLOSE: Header = (b"connection", b"close")

_line = b": ".join

STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus
}


class TooLarge(Exception):
    """The body is larger than it may be."""


class TooLate(Exception):
    """The body did not come in time."""


class Malformed(Exception):
    """The body's framing breaks the grammar."""


class Gone(Exception):
    """The caller has left."""


class Link(Protocol):
    """The connection below an exchange."""

    def write(self, data: bytes) -> "asyncio.Future[None] | None":
        """Sends bytes; if a future is returned, it must be awaited before more are sent."""
        ...

    def expect_body(self, exchange: "Exchange") -> None:
        """The handler waits for the body."""
        ...

    def response_ended(self, exchange: "Exchange") -> None:
        """The response has ended."""
        ...

    def broken(self) -> None:
        """The response will not be whole."""
        ...

    def date(self) -> bytes:
        """The Date header's line."""
        ...


class Exchange:
    """A request: ``method``, ``path``, ``headers`` (lower case), ``query``; and how to answer it.

    ``gone`` says that the caller left before the end; ``status`` is the response's. ``common`` are
    headers that every response gets. If ``copy`` is a list, the response's body is added to it.
    """

    status: int | None = None
    task: "asyncio.Task[None] | None" = None
    failure: Exception | None = None
    copy: list[bytes] | None = None
    # complete: all of the request has come; closes: the connection ends with the response.
    complete = finished = gone = closes = False
    _size = 0
    _waiter: "asyncio.Future[None] | None" = None
    _head: bytes | None = None

    def __init__(
        self,
        link: Link,
        method: str,
        path: str,
        query: bytes,
        version: str,
        headers: Mapping[bytes, bytes],
    ) -> None:
        self._link = link
        self._chunked = version != "1.0"
        self._parts: list[bytes] = []
        self.method = method
        self.path = path
        self.headers = headers
        self.query = query
        self.common: Headers = []

    async def arrived(self) -> None:
        """Waits for all of the request. Raises TooLarge, TooLate, Malformed or Gone."""
        if not self.complete and self.failure is None and self._chunked:
            self._link.expect_body(self)
        while not self.complete:
            if self.failure is not None:
                raise self.failure
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def taken_body(self) -> bytes:
        """The body of a request that has arrived, which is not kept."""
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """The whole response."""
        head = self._encoded_head(status, headers, (b"content-length", b"%d" % len(body)))
        self.finished = True
        if self.method == "HEAD":
            body = b""
        if self.copy is not None:
            self.copy.append(body)
        waiting = self._link.write(head + body)
        if waiting is not None:
            await waiting
        self._link.response_ended(self)

    async def begin(self, status: int, headers: Headers) -> None:
        """The head of a response in pieces; it is sent together with the first piece."""
        self.closes = self.closes or not self._chunked
        self._head = self._encoded_head(status, headers, _CHUNKED if self._chunked else _CLOSE)

    async def piece(self, data: bytes) -> None:
        """A piece of the body, not empty."""
        if self.copy is not None:
            self.copy.append(data)
        await self._send(self._chunk(data))

    async def end(self, data: bytes = b"") -> None:
        """The last piece."""
        if self.copy is not None:
            self.copy.append(data)
        last = self._chunk(data) if data else self._take_head()
        self.finished = True
        await self._send(last + b"0\r\n\r\n" if self._chunked else last)
        self._link.response_ended(self)

    async def break_off(self, data: bytes) -> None:
        """The last piece of an answer that could not be finished, which says so."""
        await self.end(data)

    def close(self) -> None:
        """The handler has ended, which it always says; without an answer the connection does."""
        if not self.finished:
            self._link.broken()

    # Called by the connection.

    def received(self, data: bytes, most: int) -> None:
        """A piece of the body; beyond ``most`` bytes nothing is kept."""
        self._size += len(data)
        if self._size > most:
            self._parts.clear()
            self.fail(TooLarge())
        else:
            self._parts.append(data)

    def completed(self) -> None:
        """All of the request has come."""
        if self.failure is None:
            self.complete = True
            self._wake()

    def fail(self, failure: Exception) -> None:
        """The body will not come."""
        if self.failure is None:
            self.failure = failure
            self._wake()

    def caller_left(self) -> None:
        """The caller has left: cancels what is under way for it."""
        if self.finished:
            return
        self.gone = True
        self.failure = Gone()
        if self.task is not None:
            self.task.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _encoded_head(self, status: int, headers: Headers, framing: Header) -> bytes:
        self.status = status
        self.closes = self.closes or not self.complete
        lines = [*self.common, *headers, framing]
        if self.closes and framing is not _CLOSE:
            lines.append(_CLOSE)
        first = STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
        return first + self._link.date() + b"\r\n".join(map(_line, lines)) + b"\r\n\r\n"

    def _chunk(self, data: bytes) -> bytes:
        if not self._chunked:
            return self._take_head() + data
        return b"%b%x\r\n%b\r\n" % (self._take_head(), len(data), data)

    def _take_head(self) -> bytes:
        head, self._head = self._head, None
        return head or b""

    async def _send(self, data: bytes) -> None:
        waiting = self._link.write(data)
        if waiting is not None:
            await waiting

"""One HTTP/1.1 connection to a provider: one exchange at a time, framed strictly.

Invariant: a connection carries another exchange only after an answer that ended where its framing
says, with nothing after it. Memory is bounded: when the reader is slow, the socket is not read.
The grammar (RFC 9112) is llhttp's, in its strict mode. This module does not look into bodies.
"""

import asyncio
from collections.abc import Awaitable, Callable
from copy import copy

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MAX_HEAD_BYTES = 32 * 1024
_LINE_BYTES = len(b": \r\n")
Headers = list[tuple[bytes, bytes]]

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_HIGH_WATER = 256 * 1024
_LONG_HEAD = f"a head of more than {MAX_HEAD_BYTES} bytes"


class BrokenHttp(Exception):
    """The answer breaks the grammar of HTTP, or is beyond a limit."""


class ClosedEarly(Exception):
    """The connection ended before the answer's head."""


class BrokenOff(Exception):
    """The connection ended within the answer's body."""


class Connection(asyncio.Protocol):
    """A connection. If it ``has_head``, ``status`` and ``headers`` are the answer's, as they came.

    ``reusable`` says whether it may carry another exchange.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, lost: Callable[["Connection"], None]
    ) -> None:
        self._loop = loop
        self._lost = lost
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = self._due = 0.0
        self._busy = self._paused = False
        self._received = self._waiting_bytes = 0
        self._unread = 0  # behind the last piece of the body: what comes with chunks, and trailers
        self._error: Exception | None = None
        self._parts: list[bytes] = []
        self.closed = self.has_head = False
        self.status = 0
        self.headers: Headers = []

    @property
    def reusable(self) -> bool:
        """Whether the exchange is over, and the connection can carry another one."""
        return self.over and not (self.closed or self._transport.get_write_buffer_size())

    @property
    def over(self) -> bool:
        """Whether the answer was read to its end."""
        return not (self._busy or self._parts)

    @property
    def _framed(self) -> bool:
        """Whether the head says where the body ends, so that this is not the connection's end."""
        return self.status in (204, 304) or any(
            name.lower() in _FRAMING for name, _ in self.headers
        )

    def ask(self, data: bytes) -> None:
        """Sends a request."""
        self._busy = True
        self.has_head = False
        self.status = self._received = self._unread = 0
        self.headers = []
        self._transport.write(data)

    def take(self) -> bytes:
        """The bytes of the body that are there and not taken yet."""
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._waiting_bytes = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    def progress(self, due: float) -> Awaitable[None]:
        """Something that has come of the answer, once awaited.

        Raises BrokenHttp, BrokenOff, ClosedEarly or OSError for what ended the connection; once
        awaited TimeoutError at ``due``, on the loop's clock.
        """
        if self._error is not None:
            # A copy, since the traceback of what is raised holds this connection.
            raise copy(self._error)
        self._due = due
        # The timer is not set anew for each deadline: when it fires, it checks the current one.
        if self._timer is None or due < self._timer_at:
            self._arm(due)
        self._waiter = self._loop.create_future()
        return self._waiter

    def close(self) -> None:
        """Closes the connection now, whatever is under way."""
        if not self.closed:
            self._end(None)
            self._transport.abort()

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._fired)

    def _fired(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._due:
            self._arm(self._due)
        else:
            self._wake(TimeoutError())

    def _wake(self, error: Exception | None = None) -> None:
        # Not kept: an error's traceback holds this connection, and the future holds the error.
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)

    def _end(self, error: Exception | None) -> None:
        """No more bytes are taken."""
        self.closed = True
        if self._busy:
            self._error = error or BrokenOff()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._lost(self)
        self._wake()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is made."""
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; a body without a length ends with it."""
        # It holds this connection: a cycle would stay in memory until a collection.
        del self._parser
        if self.closed:
            return
        if self._busy and self.has_head and exc is None and not self._framed:
            self._busy = False
        if isinstance(exc, TimeoutError):
            # The system's error for a peer that vanished; it is not one of our deadlines.
            exc = ConnectionAbortedError(exc.errno, exc.strerror)
        self._end(BrokenOff() if self.has_head else exc or ClosedEarly())

    def data_received(self, data: bytes) -> None:
        """Reads what came; anything outside an exchange ends the connection."""
        if self.closed:
            return
        if not self._busy:
            self.close()
            return
        if self.has_head:
            self._unread += len(data)
        else:
            self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._break(str(error))
            return
        if self._received > MAX_HEAD_BYTES and not self.has_head:
            self._break(_LONG_HEAD)
            return
        if self._unread > MAX_HEAD_BYTES:
            self._break(f"more than {MAX_HEAD_BYTES} bytes of trailers, or beside a chunk")
            return
        self._wake()

    def _break(self, why: str) -> None:
        """Ends an exchange whose bytes are wrong; one that was complete stays so."""
        if not self.closed:
            self._end(BrokenHttp(why))
            self._transport.abort()

    # What the parser calls; a second message in one exchange ends the connection.

    def on_message_begin(self) -> None:
        """A message begins."""
        if not self._busy:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is left out."""
        if not (self.closed or self.has_head):
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """A head is complete."""
        if self.closed:
            return
        self.status = self._parser.get_status_code()
        if self._received > MAX_HEAD_BYTES and _size(self.headers) > MAX_HEAD_BYTES:
            self._break(_LONG_HEAD)
        elif self.status == 101:
            self._break("it switches protocols, which was not asked for")
        elif self.status >= 200:
            self.has_head = True

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self.closed:
            return
        self._unread = 0
        self._parts.append(body)
        self._waiting_bytes += len(body)
        if self._waiting_bytes > _HIGH_WATER and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """A message has ended; after an interim answer the real one is still to come."""
        if self.closed:
            return
        if self.status < 200:
            self.headers = []
            return
        self._busy = False
        if not self._parser.should_keep_alive():
            self.close()


def _size(headers: Headers) -> int:
    return sum(len(name) + len(value) + _LINE_BYTES for name, value in headers)

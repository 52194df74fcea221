"""The server's side of HTTP/1.1: one connection, its requests one after the other.

Invariant: a request that is not all there by its deadline ends its connection, and so does one
whose head passes its limits or breaks the grammar, before it costs more than its bytes. The grammar
(RFC 9112) is llhttp's in its strict mode: it refuses bare line feeds, two lengths, and a length
beside a transfer coding. This module does not know paths or dialects.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Any
from urllib.parse import unquote_to_bytes

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, parse_url
from httptools.parser.errors import HttpParserInvalidURLError

from turnout.gateway.exchange import Exchange, Malformed, TooLate
from turnout.gateway.parse_error import error_response

Handler = Callable[[Exchange], Coroutine[Any, Any, None]]

_MOST_HEADERS = 100
_MOST_PIPELINED = 64
_LINGER_S = 2.0
_ON_ITS_WAY_S = 1.0
_HIGH_WATER = 128 * 1024

_PREFACE = b"PRI * HTTP/2.0"
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_BAD, _TOO_LARGE = HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Bytes of a head and of a body; seconds to send a request, to be idle, to take an answer."""

    head_bytes: int = 32 * 1024
    body_bytes: int = 32 * 2**20
    receive_s: float = 10.0
    idle_s: float = 75.0
    stall_s: float = 60.0


class ServerConnection(asyncio.Protocol):
    """One connection. ``deadline`` is when, by the loop's clock, it ends if nothing happens."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handler: Handler,
        bounds: Bounds,
        connections: "set[ServerConnection]",
    ) -> None:
        self._loop = loop
        self._handler = handler
        self._bounds = bounds
        self._connections = connections
        self._parser = HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._repeated: list[bytes] = []  # the names of header lines beyond each name's first
        self._head_bytes = 0
        # Behind the last piece of the body: what comes with chunks, and trailers.
        self._unread = 0
        self._in_head = True
        self._receiving: Exchange | None = None
        self._answering: Exchange | None = None
        self._queued: deque[Exchange] = deque()
        self._writable: asyncio.Future[None] | None = None
        self._lingers = self._draining = self.closed = self._resuming = False
        self._framing = b""  # of a body behind an offer of another protocol, as header lines
        self.deadline = 0.0

    @property
    def task(self) -> "asyncio.Task[None] | None":
        """The handler at work."""
        return self._answering.task if self._answering is not None else None

    @property
    def _next_has_begun(self) -> bool:
        """A part of the next head is here; it may have come with the end of the last request."""
        return bool(self._head_bytes or self._url)

    def drain(self) -> None:
        """Ends the connection, once the answer under way, or to a request on its way, has ended."""
        self._draining = True
        if self._answering is not None:
            # If its head is sent, only the next answer can say that the connection ends.
            self._answering.closes |= self._answering.status is None
        elif not self._next_has_begun:
            # A request that meets a closed connection would be lost.
            self.deadline = min(self.deadline, self._loop.time() + _ON_ITS_WAY_S)

    def abort(self) -> None:
        """Ends the connection now, and what is still done for a caller who has left."""
        if not self.closed:
            self._transport.abort()
        elif self.task is not None:
            self.task.cancel()

    def expire(self) -> None:
        """The deadline has passed."""
        if self._writable is not None or self._lingers:
            self._transport.abort()
        elif self._receiving is not None:
            self._receiving.fail(TooLate())
            self.deadline = math.inf
        elif self._next_has_begun:
            wait_s = self._bounds.receive_s
            message = f"the request's headers did not arrive within {wait_s:g} s"
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, message)
            self._close()
        else:
            self._close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The first request is due."""
        self._transport = transport  # type: ignore[assignment]
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._connections.add(self)
        self.deadline = self._loop.time() + self._bounds.receive_s

    def connection_lost(self, exc: Exception | None) -> None:
        """Whatever is under way for this caller ends; until then the connection counts."""
        del exc
        self.closed, self.deadline = True, math.inf
        self.resume_writing()
        for exchange in (self._answering, *self._queued):
            if exchange is not None:
                exchange.caller_left()
        self._queued.clear()
        self._receiving = None
        # It holds this connection: a cycle would stay in memory until a collection.
        del self._parser
        if self.task is None:
            self._connections.discard(self)
        else:
            self.task.add_done_callback(self._ended)

    def data_received(self, data: bytes) -> None:
        """Reads what came; a head is counted before it is parsed."""
        if self._lingers or self.closed:
            return
        if self._in_head:
            if not self._head_bytes and self._answering is None:
                self.deadline = self._loop.time() + self._bounds.receive_s
            most_bytes = self._bounds.head_bytes - self._head_bytes
            head = data if len(data) <= most_bytes else data.partition(b"\r\n\r\n")[0]
            self._head_bytes += len(head)
            if len(head) > most_bytes:
                most = f"{self._bounds.head_bytes:,} bytes"
                self._refuse(_TOO_LARGE, f"the request's headers are larger than {most}; send less")
                return
        else:
            self._unread += len(data)
        self._feed(data)
        if self._unread > self._bounds.head_bytes and self._receiving is not None:
            self._lingers = True
            self._receiving.fail(Malformed())

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as offer:
            # What is offered instead of HTTP/1.1 is declined by answering in it, for the last time.
            last = self._queued[-1] if self._queued else self._answering
            if self._framing:
                self._read_framed_body(data[offer.args[0] :])
            elif last is None:
                self._refuse(_BAD, "use HTTP version 1.1")
            else:
                last.closes = True
        except HttpParserError as error:
            if self._receiving is None and data.startswith(_PREFACE):
                self._refuse(_BAD, "this address speaks HTTP/1.1; turn HTTP/2 off in the client")
            elif self._receiving is None:
                self._refuse(_BAD, f"the request is not valid HTTP: {error}")
            else:
                self._lingers = True
                self._receiving.fail(Malformed())

    def _read_framed_body(self, rest: bytes) -> None:
        """Reads the body that the parser leaves out behind an offer of another protocol."""
        self._parser, self._resuming = HttpRequestParser(self), True
        self._feed(b"POST / HTTP/1.1\r\nhost: -\r\nconnection: close\r\n%b\r\n" % self._framing)
        self._framing, self._resuming = b"", False
        self._feed(rest)

    def pause_writing(self) -> None:
        """The caller reads too slowly."""
        if self._writable is None:
            self._writable = self._loop.create_future()
            self.deadline = self._loop.time() + self._bounds.stall_s

    def resume_writing(self) -> None:
        """The caller has caught up."""
        waiting, self._writable = self._writable, None
        if waiting is not None:
            self.deadline = math.inf
            if not waiting.done():
                waiting.set_result(None)

    # What the parser calls.

    def on_url(self, url: bytes) -> None:
        """The target, or a piece of it."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, without blanks around its value; trailers are left out.

        The values of repeated ones are joined by commas (RFC 9110, section 5.3).
        """
        if not self._in_head:
            return
        name, value = name.lower(), value.rstrip(b" \t")
        if name in self._headers:
            self._repeated.append(name)
            value = b"%b, %b" % (self._headers[name], value)
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        """The head is whole: its handler begins, or waits for the one before it."""
        self._in_head = False
        if self._lingers or self.closed or self._resuming:
            return
        headers, lines = self._headers, len(self._headers) + len(self._repeated)
        if lines > _MOST_HEADERS or len(self._queued) > _MOST_PIPELINED:
            self._refuse(_TOO_LARGE, f"more than {_MOST_HEADERS} headers, or too many requests")
            return
        path, query = _path_and_query(self._url)
        if path is None:
            self._refuse(_BAD, "the request has no path")
            return
        version = self._parser.get_http_version()
        if b"host" in self._repeated or (version != "1.0" and b"host" not in headers):
            self._refuse(_BAD, "send one Host header")
            return
        if self._parser.should_upgrade():
            framing = [line for line in headers.items() if line[0] in _FRAMING]
            self._framing = b"".join([b"%b: %b\r\n" % line for line in framing])
        method = self._parser.get_method().decode()
        exchange = self._receiving = Exchange(self, method, path, query, version, headers)
        if self._answering is None:
            self._begin(exchange)
        else:
            self._queued.append(exchange)

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._unread = 0
        if self._receiving is not None:
            self._receiving.received(body, self._bounds.body_bytes)

    def on_message_complete(self) -> None:
        """The request is all there, unless its body is still to be read."""
        if self._framing and not self._resuming:
            return
        exchange, self._receiving = self._receiving, None
        self._url, self._headers, self._repeated = b"", {}, []
        self._head_bytes, self._in_head, self._unread = 0, True, 0
        if exchange is None:
            return
        exchange.closes = not self._parser.should_keep_alive() or self._draining
        exchange.completed()
        self.deadline = math.inf
        if self._queued:
            self._transport.pause_reading()

    # What an exchange calls.

    def write(self, data: bytes) -> "asyncio.Future[None] | None":
        """Sends bytes; what is returned is to be awaited before more are sent."""
        if not self.closed:
            self._transport.write(data)
        return self._writable

    def expect_body(self, exchange: Exchange) -> None:
        """The handler waits for a body."""
        if exchange.headers.get(b"expect", b"").lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def response_ended(self, exchange: Exchange) -> None:
        """The response has ended: the next request, or the end of the connection."""
        self._answering = None
        if self.closed:
            return
        if exchange.closes and (exchange.complete or isinstance(exchange.failure, TooLate)):
            self._close()
        elif not exchange.complete:
            self._linger()
        elif self._queued:
            following = self._queued.popleft()
            self._begin(following)
            if not following.complete:
                self.deadline = self._loop.time() + self._bounds.receive_s
            if not self._queued:
                self._transport.resume_reading()
        else:
            idle_s = _ON_ITS_WAY_S if self._draining else self._bounds.idle_s
            wait = self._bounds.receive_s if self._next_has_begun else idle_s
            self.deadline = self._loop.time() + wait

    def broken(self) -> None:
        """There will be no whole response, which leaves nothing to go on with."""
        if not self.closed:
            self._transport.abort()

    def date(self) -> bytes:
        """The Date header's line."""
        return _date_line(int(time()))

    def _begin(self, exchange: Exchange) -> None:
        self._answering = exchange
        # With a name, since asyncio takes as long to make one up as to read a header.
        exchange.task = asyncio.Task(self._handler(exchange), loop=self._loop, name="request")

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """What was under way when the caller left has ended."""
        del task
        self._answering = None
        self._connections.discard(self)

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Answers what cannot be read, unless requests before it are still answered, and ends."""
        if self.closed or self._lingers:
            return
        last = self._queued[-1] if self._queued else self._answering
        if last is not None:
            self._lingers = last.closes = True
            return
        self._transport.write(error_response(status, message))
        self._linger()

    def _linger(self) -> None:
        """Takes in what is still on its way, since closing on it would void the answer."""
        self._lingers = True
        self.deadline = self._loop.time() + _LINGER_S
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._close()

    def _close(self) -> None:
        self._lingers = True
        self.deadline = self._loop.time() + self._bounds.stall_s
        self._transport.close()


def _path_and_query(url: bytes) -> tuple[str | None, bytes]:
    """The path of a request's target, decoded, None where it has none; and its query as sent."""
    if url.startswith(b"/"):
        raw_path, _, query = url.partition(b"?")
    else:
        try:
            target = parse_url(url)
        except HttpParserInvalidURLError:
            return None, b""
        raw_path, query = target.path or b"/", target.query or b""
    path = raw_path.decode("utf-8", "replace")
    if "%" in path:
        path = unquote_to_bytes(raw_path).decode("utf-8", "replace")
    return path, query


@lru_cache(maxsize=1)
def _date_line(now: int) -> bytes:
    return f"date: {formatdate(now, usegmt=True)}\r\n".encode()

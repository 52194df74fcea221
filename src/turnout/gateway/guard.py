"""The server's HTTP protocol with the two limits it lacks: head size, and time to send a request.

Invariant: a connection that has not sent a whole request within the deadline is closed, and so is
one whose head passes the limit, before either costs more than its bytes.
The HTTP itself is uvicorn's on httptools, which refuses bare LF and CL+TE.
"""

from asyncio import TimerHandle, Transport
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_HEADERS = 100


class GuardedProtocol(HttpToolsProtocol):
    """Counts head bytes and keeps a receive deadline, in seconds."""

    def __init__(self, *args: Any, max_head_bytes: int, receive_s: float, **more: Any) -> None:
        super().__init__(*args, **more)
        self._max_head_bytes = max_head_bytes
        self._receive_s = receive_s
        self._head_bytes = 0
        self._in_head = True
        self._deadline: TimerHandle | None = None
        self._fresh = True
        self._draining = False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Starts the deadline of the first request."""
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the deadline."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Counts what belongs to a head before it is parsed."""
        if self._in_head:
            if self._deadline is None:
                self._arm()
            self._head_bytes += len(data.partition(b"\r\n\r\n")[0])
            if self._head_bytes > self._max_head_bytes:
                self._refuse(b"431 Request Header Fields Too Large")
                return
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        self._head_bytes = 0
        if len(self.headers) > _MOST_HEADERS:
            self._refuse(b"431 Request Header Fields Too Large")
            return
        if not any(name == b"host" for name, _ in self.headers):
            self._refuse(b"400 Bad Request")
            return
        super().on_headers_complete()
        self._fresh = False
        cycle: Any = self.cycle
        if self._draining and cycle is not None:
            cycle.keep_alive = False

    def shutdown(self) -> None:
        """The server stops: a connection whose first request is on its way is still answered."""
        self._draining = True
        if not self._fresh:
            super().shutdown()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._disarm()
        self._in_head = True
        if not self.transport.is_closing():
            super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        """Passes the body on, unless the request was refused."""
        if not self.transport.is_closing():
            super().on_body(body)

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(self._receive_s, self._late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        self._disarm()
        head = b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(head)
        self.transport.close()


def guarded(*, max_head_bytes: int, receive_s: float) -> Any:
    """The protocol class as uvicorn wants it, with these limits."""
    return partial(GuardedProtocol, max_head_bytes=max_head_bytes, receive_s=receive_s)

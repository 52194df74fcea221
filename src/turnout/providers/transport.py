"""The one door to the network, on aiohttp.

Invariant: a connection is used again only after a body that ended; redirects are never followed;
what an answer may take, in time and in bytes, is bounded.
This module does not look into bodies.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from turnout.core import Fault
from turnout.providers.connection_faults import fault_of
from turnout.providers.deadlines import Deadlines, no_first_byte
from turnout.providers.decompress import UnknownEncoding, inflater
from turnout.providers.protocol import Timeouts, TransportError, WireRequest

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession, ClientTimeout

MAX_ANSWER_BYTES = 64 * 2**20

_KEEPALIVE_S = 15.0
_DRAIN_S = 0.1
_DRAIN_BYTES = 64 * 1024


class HttpTransport:
    """Sends requests with aiohttp; one session for each event loop it is used on.

    ``max_answer_bytes`` caps a decompressed answer; ``keepalive_s`` is how long an idle
    connection is kept.
    """

    def __init__(
        self, *, max_answer_bytes: int = MAX_ANSWER_BYTES, keepalive_s: float = _KEEPALIVE_S
    ) -> None:
        self._max_answer_bytes = max_answer_bytes
        self._keepalive_s = keepalive_s
        self._sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, ClientSession]
        self._sessions = WeakKeyDictionary()

    async def send(self, request: WireRequest, timeouts: Timeouts) -> "HttpResponse":
        """The answer's head. Raises TransportError with a classified fault."""
        from aiohttp import ClientError

        target = _target(request.url)
        deadlines = Deadlines.starting(asyncio.get_running_loop().time(), timeouts)
        try:
            async with asyncio.timeout_at(deadlines.first_byte):
                response = await self._session().request(
                    request.method,
                    request.url,
                    data=request.body,
                    headers={"Accept-Encoding": "identity", **request.headers},
                    allow_redirects=False,
                    timeout=_connect_timeout(timeouts),
                )
        except (ClientError, OSError, ValueError) as error:
            raise TransportError(_send_fault(error, target, timeouts)) from error
        return _answer(response, target, deadlines, self._max_answer_bytes)

    def prepare(self) -> None:
        """Load the client now, so that the first request does not wait for it."""
        self._session()

    async def aclose(self) -> None:
        """Close every connection made on the running event loop."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()

    def _session(self) -> "ClientSession":
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None or session.closed:
            session = self._sessions[loop] = _new_session(self._keepalive_s)
        return session


class HttpResponse:
    """An answer whose head has arrived; header names are lower case."""

    def __init__(
        self,
        response: "ClientResponse",
        target: str,
        deadlines: Deadlines,
        max_bytes: int,
    ) -> None:
        self.status: int = response.status
        self.headers: Mapping[str, str] = {k.lower(): v for k, v in response.headers.items()}
        self._inflate = inflater(self.headers.get("content-encoding", ""))
        self._response = response
        self._target = target
        self._deadlines = deadlines
        self._max_bytes = max_bytes

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, decompressed. Raises TransportError."""
        size = 0
        while data := await self._read(first=size == 0):
            for piece in self._pieces(data):
                size += len(piece)
                if size > self._max_bytes:
                    raise self._end(_bad(f"the answer is larger than {self._max_bytes} bytes"))
                yield piece

    async def aclose(self, *, reuse: bool = False) -> None:
        """End the exchange; unless ``reuse`` and the body ends at once, the connection too."""
        if reuse and await self._ends():
            self._response.release()
        else:
            self._response.close()

    async def _read(self, *, first: bool) -> bytes:
        from aiohttp import ClientError

        deadline, fault = self._deadlines.next(asyncio.get_running_loop().time(), first=first)
        try:
            async with asyncio.timeout_at(deadline):
                return await self._response.content.readany()
        except TimeoutError as error:
            raise self._end(fault) from error
        except (ClientError, OSError) as error:
            raise self._end(fault_of(error, self._target, in_body=True)) from error
        except asyncio.CancelledError:
            self._response.close()
            raise

    def _pieces(self, data: bytes) -> Iterable[bytes]:
        try:
            yield from self._inflate(data)
        except zlib.error as error:
            raise self._end(_bad("the answer's compression is broken")) from error

    def _end(self, fault: Fault) -> TransportError:
        self._response.close()
        return TransportError(fault)

    async def _ends(self) -> bool:
        """Whether nothing, or only a short rest, is left of the body."""
        from aiohttp import ClientError

        left = _DRAIN_BYTES
        try:
            async with asyncio.timeout(_DRAIN_S):
                while left > 0 and (data := await self._response.content.readany()):
                    left -= len(data)
        except (ClientError, OSError):
            return False
        return self._response.content.at_eof()


def _new_session(keepalive_s: float) -> "ClientSession":
    from aiohttp import ClientSession, DummyCookieJar, TCPConnector

    return ClientSession(
        connector=TCPConnector(limit=0, keepalive_timeout=keepalive_s),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
    )


def _connect_timeout(timeouts: Timeouts) -> "ClientTimeout":
    from aiohttp import ClientTimeout

    # The client rounds deadlines above its threshold up to whole seconds.
    return ClientTimeout(total=None, connect=timeouts.connect_s, ceil_threshold=float("inf"))


def _answer(
    response: "ClientResponse", target: str, deadlines: Deadlines, max_bytes: int
) -> HttpResponse:
    try:
        return HttpResponse(response, target, deadlines, max_bytes)
    except UnknownEncoding as error:
        response.close()
        raise TransportError(_bad(f"the answer's encoding {error} was not asked for")) from error


def _send_fault(error: Exception, target: str, timeouts: Timeouts) -> Fault:
    # The client's own timeouts are subclasses and have rules of their own.
    return no_first_byte(timeouts) if type(error) is TimeoutError else fault_of(error, target)


def _target(url: str) -> str:
    """Host and port, for people."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return url
    return f"{parts.hostname or url}:{port}"


def _bad(detail: str) -> Fault:
    return Fault(kind="bad_response", detail=detail)

"""A little HTTP/1.1 on a raw socket, enough to break it on purpose.

Invariant: only bytes that the caller gave are sent; a closed peer is noticed while waiting.
This module does not know chat completions.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

from turnout.testing.invoice import RecordedRequest
from turnout.testing.local_server import reset

_MOST_HEAD_BYTES = 64 * 1024


class PeerGone(Exception):
    """The peer has closed the connection."""


class Exchange:
    """One connection: reads requests, writes answers piece by piece.

    ``extra_bytes`` follows the last bytes of each answer, in one write with them.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._read_ahead = b""
        self.bytewise = False
        self.extra_bytes = b""

    async def read_request(self) -> RecordedRequest | None:
        """The next request on the connection, or None when there is none."""
        try:
            head = self._read_ahead + await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            return None
        self._read_ahead = b""
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        method, path, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return RecordedRequest(method=method, path=path, headers=headers, body=body)

    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Sends the status line and the headers."""
        reason = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{k}: {v}" for k, v in headers.items())]
        await self.raw("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Sends an answer with its length."""
        await self.head(status, {**headers, "Content-Length": str(len(body))})
        await self.raw(body + self.extra_bytes)

    async def piece(self, data: bytes) -> None:
        """Sends a chunk of a chunked body; an empty one ends it."""
        if not self.bytewise:
            extra_bytes = b"" if data else self.extra_bytes
            await self.raw(b"%x\r\n%b\r\n%b" % (len(data), data, extra_bytes))
            return
        for index in range(len(data)):
            await self.raw(b"1\r\n%b\r\n" % data[index : index + 1])
        if not data:
            await self.raw(b"0\r\n\r\n")

    async def raw(self, data: bytes) -> None:
        """Sends bytes as they are. Raises PeerGone."""
        if self._writer.is_closing() or self._reader.at_eof():
            raise PeerGone
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError as error:
            raise PeerGone from error

    async def wait(self, seconds: float | None) -> None:
        """Waits, forever if ``seconds`` is None. Raises PeerGone as soon as the peer is gone."""
        try:
            async with asyncio.timeout(seconds):
                while data := await self._reader.read(_MOST_HEAD_BYTES):
                    self._read_ahead += data
        except TimeoutError:
            return
        except ConnectionError as error:
            raise PeerGone from error
        raise PeerGone

    def reset(self) -> None:
        """Closes the connection with RST."""
        reset(self._writer)

    async def close(self) -> None:
        """Closes the connection in the usual way."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return

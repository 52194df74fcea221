"""An exchange that records its response, and keeps it before the last bytes are sent.

Invariant: an answer's last bytes leave after ``keep`` has returned them, so that nobody has an
answer that another request with the same key would not get. This module does not know storage.
"""

from collections.abc import Awaitable, Callable

from turnout.gateway.exchange import Exchange, Headers
from turnout.gateway.sealed import Answer

Keep = Callable[[Answer, bytes], Awaitable[bytes]]


class RecordingExchange(Exchange):
    """Passes a handler's response on to ``out``; ``keep`` is given the complete answer.

    It is also given the last bytes (all of an answer that is no stream), and returns those to send.
    An answer that breaks off is not kept, nor one that tells its caller to come back.
    """

    def __init__(self, out: Exchange, keep: Keep) -> None:
        link = out._link  # noqa: SLF001 -- it stands for the same connection
        super().__init__(link, out.method, out.path, out.query, "1.1", out.headers)
        self._out = out
        self._keep = keep
        self._status_and_headers: tuple[int, Headers] = (0, [])
        self._pieces: list[bytes] = []

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """As Exchange.whole."""
        if not any(name == b"retry-after" for name, _ in headers):
            answer = Answer(status=status, headers=headers, body=body, stream=False)
            body = await self._keep(answer, body)
        self._add_to_copy(body)
        await self._out.whole(status, headers, body)
        self._finish()

    async def begin(self, status: int, headers: Headers) -> None:
        """As Exchange.begin."""
        self._status_and_headers = status, headers
        await self._out.begin(status, headers)
        self.status = status

    async def piece(self, data: bytes) -> None:
        """As Exchange.piece."""
        self._pieces.append(data)
        self._add_to_copy(data)
        await self._out.piece(data)

    async def end(self, data: bytes = b"") -> None:
        """As Exchange.end."""
        status, headers = self._status_and_headers
        body = b"".join([*self._pieces, data])
        answer = Answer(status=status, headers=headers, body=body, stream=True)
        data = await self._keep(answer, data)
        self._add_to_copy(data)
        await self._out.end(data)
        self._finish()

    async def break_off(self, data: bytes) -> None:
        """As Exchange.break_off."""
        self._add_to_copy(data)
        await self._out.break_off(data)
        self._finish()

    def _add_to_copy(self, data: bytes) -> None:
        if self.copy is not None:
            self.copy.append(data)

    def _finish(self) -> None:
        self.status, self.finished, self.gone = self._out.status, True, self._out.gone

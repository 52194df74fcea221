"""An exchange whose response is taken down as it is sent, and kept before its end is.

Invariant: an answer's last bytes leave after ``keep`` has returned them, so that nobody has an
answer that another request with the same key would not get. This module does not know storage.
"""

from collections.abc import Awaitable, Callable

from turnout.gateway.exchange import Exchange, Headers
from turnout.gateway.sealed import Answer

Keep = Callable[[Answer, bytes], Awaitable[bytes]]


class Taped(Exchange):
    """Stands before ``out`` for a handler; ``keep`` is given an answer that is complete.

    It is given the last bytes, too (all of an answer that is no stream), and returns what is sent.

    What breaks off is not kept, nor what tells its caller to come back: that is asked for again.
    """

    __slots__ = ("_keep", "_out", "_said", "_tape")

    def __init__(self, out: Exchange, keep: Keep) -> None:
        link = out._link  # noqa: SLF001 -- it stands for the same connection
        super().__init__(link, out.method, out.path, out.headers, chunked=True)
        self._out = out
        self._keep = keep
        self._said: tuple[int, Headers] = (0, [])
        self._tape: list[bytes] = []

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """As Exchange.whole."""
        if not any(name == b"retry-after" for name, _ in headers):
            answer = Answer(status=status, headers=headers, body=body, stream=False)
            body = await self._keep(answer, body)
        self._copied(body)
        await self._out.whole(status, headers, body)
        self._ended()

    async def begin(self, status: int, headers: Headers) -> None:
        """As Exchange.begin."""
        self._said = status, headers
        await self._out.begin(status, headers)
        self.status = status

    async def piece(self, data: bytes) -> None:
        """As Exchange.piece."""
        self._tape.append(data)
        self._copied(data)
        await self._out.piece(data)

    async def end(self, data: bytes = b"") -> None:
        """As Exchange.end."""
        status, headers = self._said
        body = b"".join([*self._tape, data])
        answer = Answer(status=status, headers=headers, body=body, stream=True)
        data = await self._keep(answer, data)
        self._copied(data)
        await self._out.end(data)
        self._ended()

    async def break_off(self, data: bytes) -> None:
        """As Exchange.break_off."""
        self._copied(data)
        await self._out.break_off(data)
        self._ended()

    def _copied(self, data: bytes) -> None:
        if self.copy is not None:
            self.copy.append(data)

    def _ended(self) -> None:
        self.status, self.finished, self.gone = self._out.status, True, self._out.gone

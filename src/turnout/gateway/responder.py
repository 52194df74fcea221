"""One response on its way out, and the watch for a caller who leaves before its end.

Invariant: a response begins once and ends once; a caller's leaving cancels the work at once.
This module does not know dialects.
"""

import asyncio
from types import TracebackType
from typing import Self

from turnout.gateway.body import Receive, Send
from turnout.gateway.says import Headers


class Responder:
    """Sends one response. As a context it cancels its task when the caller leaves.

    ``gone`` says that this happened; ``sent_bytes`` counts body bytes.
    """

    def __init__(self, receive: Receive, send: Send, common: Headers) -> None:
        self._receive = receive
        self._send = send
        self._common = common
        self._watch: asyncio.Task[None] | None = None
        self.status: int | None = None
        self.finished = False
        self.gone = False
        self.sent_bytes = 0

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """The whole response."""
        length = (b"content-length", b"%d" % len(body))
        await self._start(status, [*headers, length])
        await self._end(body)

    async def begin(self, status: int, headers: Headers) -> None:
        """The head of a response in pieces; it leaves together with the first piece."""
        await self._start(status, headers)

    async def piece(self, data: bytes) -> None:
        """A piece of the body."""
        self.sent_bytes += len(data)
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        """The last piece."""
        await self._end(data)

    async def _start(self, status: int, headers: Headers) -> None:
        self.status = status
        await self._send(
            {"type": "http.response.start", "status": status, "headers": [*self._common, *headers]}
        )

    async def _end(self, data: bytes) -> None:
        # The server reports the end of a response as a disconnect, too.
        self.finished = True
        self.sent_bytes += len(data)
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is not None:
            self._watch = asyncio.create_task(self._cancel_when_gone(task))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> bool:
        if self._watch is not None:
            self._watch.cancel()
        task = asyncio.current_task()
        if self.gone and kind is asyncio.CancelledError and task is not None:
            task.uncancel()
            return True
        return False

    async def _cancel_when_gone(self, task: "asyncio.Task[object]") -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.finished:
            self.gone = True
            task.cancel()

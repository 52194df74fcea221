"""Signs of life for the caller of a stream whose answer has not begun; only if configured.

Invariant: a sign has no content, so another model may still answer. A failure is then an error
event, since the status was already sent. This module does not know dialects.
"""

import asyncio
from collections.abc import Callable

from turnout.gateway.exchange import Exchange, Headers


class Heartbeat:
    """Sends the head and ``sign`` after ``every_s`` seconds, and ``sign`` again each ``every_s``.

    ``head`` returns the head's lines when they are needed.
    """

    def __init__(
        self, out: Exchange, head: Callable[[], Headers], sign: bytes, every_s: float
    ) -> None:
        self._out, self._head, self._sign, self._every_s = out, head, sign, every_s
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(every_s, self._start_sign)
        self._stopped = False

    def stop(self) -> None:
        """Send no more signs: the answer begins, or the request has failed."""
        self._stopped = True
        self._timer.cancel()

    def _start_sign(self) -> None:
        self._task = self._loop.create_task(self._send_sign())

    async def _send_sign(self) -> None:
        if self._stopped:
            return
        if self._out.status is None:
            await self._out.begin(200, self._head())
        await self._out.piece(self._sign)
        if not self._stopped:
            self._timer = self._loop.call_later(self._every_s, self._start_sign)

"""Signs of life for the caller of a stream whose answer has not begun: off unless configured.

Invariant: a sign is not content, so that the next model may still answer unnoticed; but a failure
is then an error event, since the status was sent already. This module does not know dialects.
"""

import asyncio
from collections.abc import Callable

from turnout.gateway.exchange import Exchange, Headers


class Heartbeat:
    """Sends the head and ``sign`` after ``every_s`` seconds, and ``sign`` again after as many.

    ``head`` returns the head's lines when they are needed.
    """

    def __init__(
        self, out: Exchange, head: Callable[[], Headers], sign: bytes, every_s: float
    ) -> None:
        self.is_head_sent = False
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
        if not self.is_head_sent:
            self.is_head_sent = True
            await self._out.begin(200, self._head())
        await self._out.piece(self._sign)
        if not self._stopped:
            self._timer = self._loop.call_later(self._every_s, self._start_sign)

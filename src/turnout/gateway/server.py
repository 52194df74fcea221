"""Serves connections on a listening socket, watches their deadlines, and drains them.

Invariant: after ``stop`` nothing new is accepted, and every answer under way may end until the
drain's deadline. This module does not know what is served.
"""

import asyncio
import logging
import socket
from typing import TYPE_CHECKING

from turnout.gateway.http1 import Bounds, Handler, ServerConnection

if TYPE_CHECKING:
    from ssl import SSLContext

_LOG = logging.getLogger("turnout.gateway")
_BACKLOG = 2048
_INTERVAL_S = 0.1


class HttpServer:
    """Serves ``handler``, which closes each exchange; use ``start`` and ``stop`` on one loop."""

    def __init__(self, handler: Handler, bounds: Bounds | None = None) -> None:
        self._handler = handler
        self._bounds = bounds or Bounds()
        self._connections: set[ServerConnection] = set()
        self._server: asyncio.AbstractServer | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, listener: socket.socket, tls: "SSLContext | None" = None) -> None:
        """Accepts connections from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: ServerConnection(loop, self._handler, self._bounds, self._connections),
            sock=listener,
            ssl=tls,
            # A connection is watched only from the end of its TLS handshake.
            ssl_handshake_timeout=self._bounds.receive_s if tls else None,
            backlog=_BACKLOG,
        )
        self._expire_connections(loop)

    async def stop(self, drain_s: float = 0.0) -> None:
        """Accepts nothing more, waits ``drain_s`` seconds for answers, and ends what is left."""
        loop = asyncio.get_running_loop()
        if self._server is not None:
            self._server.close()
            self._server = None
        until = loop.time() + drain_s
        for connection in list(self._connections):
            connection.drain()
        while self._connections and loop.time() < until:  # noqa: ASYNC110 -- they end one by one
            await asyncio.sleep(0.02)
        tasks = [c.task for c in self._connections if c.task is not None]
        for connection in list(self._connections):
            connection.abort()
        if self._timer is not None:
            self._timer.cancel()
        if tasks:
            _LOG.warning("answers were cut off at shutdown", extra={"fields": {"n": len(tasks)}})
            # Cancelled handlers still settle what they have used.
            await asyncio.wait(tasks, timeout=10)

    def _expire_connections(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ends all connections whose deadline passes before the next look."""
        until = loop.time() + _INTERVAL_S
        for connection in [c for c in self._connections if c.deadline <= until]:
            connection.expire()
        self._timer = loop.call_later(_INTERVAL_S, self._expire_connections, loop)

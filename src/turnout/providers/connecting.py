"""Makes connections to providers: looks names up, tries addresses, and sets up TLS.

Invariant: addresses of both families are tried (RFC 8305), and whatever was opened for a failed
connection is closed. This module does not know requests.
"""

import asyncio
import errno
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from turnout.providers.http1 import Connection
from turnout.providers.target import Target

if TYPE_CHECKING:
    from ssl import SSLContext

Addresses = list[tuple[Any, ...]]

_EYEBALLS_S = 0.25
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Unresolved(Exception):
    """The host's name has no address."""


class Unreachable(Exception):
    """No address of the host accepts the connection; the cause says why."""


class OutOfSockets(Exception):
    """No socket is left on this machine for the connection; the cause says why."""


class NoConnectionInTime(Exception):
    """The connection or its handshake was not complete by the deadline."""


class Connector:
    """Makes connections on one event loop; open ones are in ``standing``."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._context: SSLContext | None = None
        self.standing: set[Connection] = set()

    async def connect(self, target: Target, due: float) -> Connection:
        """A new connection.

        Raises Unresolved, Unreachable, OutOfSockets, NoConnectionInTime, or ssl.SSLError.
        """
        try:
            async with asyncio.timeout_at(due):
                addresses = await self._addresses(target)
                return await self._connected(target, addresses)
        except TimeoutError as error:
            raise NoConnectionInTime from error

    async def _addresses(self, target: Target) -> Addresses:
        try:
            if _is_literal(target.host):  # an address needs no look-up on a thread
                return list(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM))
            found = await self._loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise (OutOfSockets if _is_shortage(error) else Unresolved) from error
        return list(found)

    async def _connected(self, target: Target, addresses: Addresses) -> Connection:
        from aiohappyeyeballs import start_connection

        try:
            sock = await start_connection(
                addresses, happy_eyeballs_delay=_EYEBALLS_S, interleave=1, loop=self._loop
            )
        except OSError as error:
            raise (OutOfSockets if _is_shortage(error) else Unreachable) from error
        try:
            connection = await self._upgraded(target, sock)
        except BaseException:
            sock.close()
            raise
        self.standing.add(connection)
        return connection

    async def _upgraded(self, target: Target, sock: socket.socket) -> Connection:
        """The connection on a connected socket, after the TLS handshake if there is one."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = self._tls() if target.tls else None
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._loop, self.standing.discard),
                sock=sock,
                ssl=tls,
                server_hostname=target.host if tls else None,
            )
        except OSError as error:
            if hasattr(error, "library"):  # an error of TLS says so itself
                raise
            raise Unreachable from error
        return connection

    def _tls(self) -> "SSLContext":
        if self._context is None:
            import ssl

            self._context = ssl.create_default_context()
            self._context.set_alpn_protocols(["http/1.1"])
        return self._context


def _is_shortage(error: Exception) -> bool:
    return getattr(error, "errno", None) in _SHORTAGES


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

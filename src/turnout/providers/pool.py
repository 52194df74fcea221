"""Connections to providers: made, kept while idle, and found again.

Invariant: an idle connection is kept for a while, never handed to two exchanges, and not at all
after it was closed; addresses of both families are tried (RFC 8305). Who waits for a new connection
takes one that becomes free before, in the order of waiting, as in Go's net/http. One pool an event
loop.
"""

import asyncio
import socket
from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from turnout.providers.http1 import Connection

if TYPE_CHECKING:
    from ssl import SSLContext

_EYEBALLS_S = 0.25


class NotAnAddress(Exception):
    """The URL cannot be called."""


class Unresolved(Exception):
    """The host's name gives no address."""


class Unreachable(Exception):
    """No address of the host takes the connection; the cause says why."""


Addresses = list[tuple[Any, ...]]


class NoConnectionInTime(Exception):
    """Neither connection nor handshake came about by their deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a URL leads: ``host`` and ``port`` to connect to, ``path`` with its query to ask for.

    ``name`` is host and port for people, ``authority`` what the Host header says.
    """

    host: str
    port: int
    tls: bool
    path: str
    authority: str
    name: str

    @property
    def place(self) -> tuple[str, int, bool]:
        """What connections are shared by."""
        return self.host, self.port, self.tls


@lru_cache(maxsize=1024)
def target_of(url: str) -> Target:
    """The target of an http(s) URL. Raises NotAnAddress."""
    try:
        parts = urlsplit(url)
        host, tls = parts.hostname, parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
        ascii_host = (host or "").encode("idna" if host and not host.isascii() else "ascii")
    except (ValueError, UnicodeError) as error:
        raise NotAnAddress(str(error)) from error
    if parts.scheme not in ("http", "https") or not host:
        raise NotAnAddress(f"{url[:100]!r} has no host or is not http(s)")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if any(not "!" <= letter <= "~" for letter in path):
        raise NotAnAddress("its path holds letters that must be percent-encoded")
    bracketed = f"[{host}]" if ":" in host else ascii_host.decode()
    default = parts.port is None or parts.port == (443 if tls else 80)
    return Target(
        host=host if ":" in host else ascii_host.decode(),
        port=port,
        tls=tls,
        path=path,
        authority=bracketed if default else f"{bracketed}:{port}",
        name=f"{host}:{port}",
    )


Waiter = asyncio.Future[Connection]


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(slots=True)
class Pool:
    """The connections made on one event loop; idle ones end after ``keepalive_s``."""

    loop: asyncio.AbstractEventLoop
    keepalive_s: float
    _idle: dict[tuple[str, int, bool], deque[tuple[Connection, float]]] = field(
        default_factory=dict
    )
    _waiting: dict[tuple[str, int, bool], deque[Waiter]] = field(default_factory=dict)
    _making: set[asyncio.Task[None]] = field(default_factory=set)
    _all: set[Connection] = field(default_factory=set)
    _sweep: asyncio.TimerHandle | None = None
    _context: "SSLContext | None" = None

    async def get(self, target: Target, due: float) -> Connection:
        """An idle connection, else a new one or the first that becomes free before that stands.

        Raises Unresolved, Unreachable, NoConnectionInTime, or ssl.SSLError.
        """
        while (connection := self._take(target)) is None:
            waiter: Waiter = self.loop.create_future()
            self._waiting.setdefault(target.place, deque()).append(waiter)
            making = self.loop.create_task(self._make(target, due, waiter))
            self._making.add(making)
            making.add_done_callback(self._making.discard)
            try:
                connection = await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                    self.give(target, waiter.result())
                raise
            if connection.reusable:
                break
        return connection

    async def _make(self, target: Target, due: float, waiter: Waiter) -> None:
        """A new connection for whoever waits longest, or for later; its failure is its waiter's."""
        try:
            connection = await self.connect(target, due)
        except Exception as error:  # noqa: BLE001 -- said to the one who waits
            if not waiter.done():
                waiter.set_exception(error)
        else:
            self.give(target, connection)

    def _take(self, target: Target) -> Connection | None:
        """An idle connection, the latest one used, else None."""
        idle = self._idle.get(target.place)
        while idle:
            connection, until = idle.pop()
            if connection.reusable and self.loop.time() < until:
                return connection
            connection.close()
        return None

    def give(self, target: Target, connection: Connection) -> None:
        """Takes a connection back, if it may be used again."""
        if not connection.reusable:
            connection.close()
            return
        waiting = self._waiting.get(target.place)
        while waiting:
            waiter = waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        idle = self._idle.setdefault(target.place, deque())
        idle.append((connection, self.loop.time() + self.keepalive_s))
        if self._sweep is None:
            self._sweep = self.loop.call_later(self.keepalive_s, self._expire)

    async def connect(self, target: Target, due: float) -> Connection:
        """A new connection.

        Raises Unresolved, Unreachable, NoConnectionInTime, or ssl.SSLError.
        """
        try:
            async with asyncio.timeout_at(due):
                addresses = await self._addresses(target)
                return await self._connected(target, addresses)
        except TimeoutError as error:
            raise NoConnectionInTime from error

    def close(self) -> None:
        """Ends every connection."""
        for making in self._making:
            making.cancel()
        for connection in list(self._all):
            connection.close()
        self._idle.clear()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    async def _addresses(self, target: Target) -> Addresses:
        try:
            if _is_literal(target.host):  # what is an address already needs no thread
                return list(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM))
            found = await self.loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unresolved from error
        return list(found)

    async def _connected(self, target: Target, addresses: Addresses) -> Connection:
        from aiohappyeyeballs import start_connection

        try:
            sock = await start_connection(
                addresses, happy_eyeballs_delay=_EYEBALLS_S, interleave=1, loop=self.loop
            )
        except OSError as error:
            raise Unreachable from error
        try:
            connection = await self._upgraded(target, sock)
        except BaseException:
            sock.close()
            raise
        self._all.add(connection)
        return connection

    async def _upgraded(self, target: Target, sock: socket.socket) -> Connection:
        """The connection on a connected socket, once TLS stands where it is asked for."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = self._tls() if target.tls else None
        try:
            _, connection = await self.loop.create_connection(
                lambda: Connection(self.loop, self._all.discard),
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

    def _expire(self) -> None:
        """Ends what was idle for too long, and looks again while anything is idle."""
        self._sweep = None
        now, waiting = self.loop.time(), False
        for idle in self._idle.values():
            while idle and idle[0][1] <= now:
                idle.popleft()[0].close()
            waiting = waiting or bool(idle)
        if waiting:
            self._sweep = self.loop.call_later(self.keepalive_s, self._expire)

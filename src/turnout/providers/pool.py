"""Connections to providers: kept while idle, and given to those who wait.

Invariant: an idle connection is kept for a while, and never given to two exchanges, or to any after
it was closed. An exchange that waits for a new connection takes one that becomes free earlier, in
the order of waiting, as in Go's net/http. Each event loop has its own pool.
"""

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass, field

from turnout.providers.connecting import Connector, NoConnectionInTime
from turnout.providers.http1 import ClosedEarly, Connection
from turnout.providers.target import Place, Target

Waiter = asyncio.Future[Connection]


@dataclass(slots=True)
class _Stand:
    """For one address: idle connections with their expiry, who waits, how many are being made."""

    idle: deque[tuple[Connection, float]] = field(default_factory=deque)
    waiting: deque[Waiter] = field(default_factory=deque)
    making: int = 0


class Pool:
    """The connections made on one event loop; idle ones end after ``keepalive_s``."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        keepalive_s: float,
        connector: Connector | None = None,
    ) -> None:
        self.loop = loop
        self._keepalive_s = keepalive_s
        self._connector = connector or Connector(loop)
        self._stands: defaultdict[Place, _Stand] = defaultdict(_Stand)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def standing(self) -> frozenset[Connection]:
        """The open connections, idle or not."""
        return frozenset(self._connector.standing)

    def idle(self, target: Target) -> Connection | None:
        """Takes the idle connection that was used last; None if there is none."""
        idle = self._stands[target.place].idle
        while idle:
            connection, until = idle.pop()
            if connection.reusable and self.loop.time() < until:
                return connection
            connection.close()
        return None

    async def get(self, target: Target, due: float) -> Connection:
        """An idle connection, else a new one, or one that becomes free before that is made.

        Raises Unresolved, Unreachable, OutOfSockets, NoConnectionInTime, ClosedEarly, or
        ssl.SSLError.
        """
        while (connection := self.idle(target)) is None:
            connection = await self._waited(target, self._stands[target.place], due)
            if connection.reusable:
                break
        return connection

    def give(self, target: Target, connection: Connection) -> None:
        """Takes a connection back, if it may be used again."""
        if not connection.reusable:
            connection.close()
            return
        stand = self._stands[target.place]
        while stand.waiting:
            waiter = stand.waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        stand.idle.append((connection, self.loop.time() + self._keepalive_s))
        if self._sweep is None:
            self._sweep = self.loop.call_later(self._keepalive_s, self._expire)

    def close_idle(self, target: Target) -> None:
        """Ends the idle connections to this address: what is sent next takes a new one."""
        idle = self._stands[target.place].idle
        while idle:
            idle.pop()[0].close()

    def close(self) -> None:
        """Ends every connection."""
        for task in self._tasks:
            task.cancel()
        for connection in self.standing:
            connection.close()
        self._stands.clear()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    async def _waited(self, target: Target, stand: _Stand, due: float) -> Connection:
        waiter: Waiter = self.loop.create_future()
        stand.waiting.append(waiter)
        stand.making += 1
        task = self.loop.create_task(self._make(target, stand, due, waiter))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            async with asyncio.timeout_at(due):
                return await waiter
        except (TimeoutError, asyncio.CancelledError) as error:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.give(target, waiter.result())
            if isinstance(error, TimeoutError):
                raise NoConnectionInTime from error
            raise

    async def _make(self, target: Target, stand: _Stand, due: float, waiter: Waiter) -> None:
        """Makes a connection for the one that waits longest, or for later."""
        try:
            connection = await self._connector.connect(target, due)
            if not connection.reusable:
                raise ClosedEarly  # noqa: TRY301 -- told like all others
        except Exception as error:  # noqa: BLE001 -- told to the one who waits for it
            stand.making -= 1
            _tell(stand, waiter, error)
        else:
            stand.making -= 1
            self.give(target, connection)

    def _expire(self) -> None:
        """Closes what was idle for too long, and goes on while anything is idle."""
        self._sweep = None
        now, any_idle = self.loop.time(), False
        for stand in self._stands.values():
            while stand.idle and stand.idle[0][1] <= now:
                stand.idle.popleft()[0].close()
            any_idle = any_idle or bool(stand.idle)
        if any_idle:
            self._sweep = self.loop.call_later(self._keepalive_s, self._expire)


def _tell(stand: _Stand, waiter: Waiter, error: Exception) -> None:
    """Tells ``waiter``, or the next if that one has a connection, that none could be made."""
    if waiter.done():
        left = [other for other in stand.waiting if not other.done()]
        if len(left) <= stand.making:
            return
        waiter = left[0]
    waiter.set_exception(error)

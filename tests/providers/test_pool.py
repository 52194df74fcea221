"""Who waits for a connection, and which one it gets."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.providers.test_http1 import raw
from turnout.providers.connecting import Connector, NoConnectionInTime, Unreachable
from turnout.providers.http1 import Connection
from turnout.providers.pool import Pool
from turnout.providers.target import Target, target_of


class Slow(Connector):
    """Makes connections when told; of as many as are held, each by its own word."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self._told: deque[asyncio.Future[bool]] = deque()

    def hold(self, count: int) -> list[asyncio.Future[bool]]:
        """What the next ones wait for: whether to succeed."""
        told = [asyncio.get_running_loop().create_future() for _ in range(count)]
        self._told.extend(told)
        return told

    async def connect(self, target: Target, due: float) -> Connection:
        """As always, later."""
        if self._told and not await self._told.popleft():
            raise Unreachable
        return await super().connect(target, due)


@asynccontextmanager
async def slow() -> AsyncIterator[tuple[Pool, Slow, Target]]:
    """A pool, what makes its connections, and a server that it reaches."""
    making = Slow()
    pool = Pool(asyncio.get_running_loop(), 15.0, making)
    async with raw() as server:
        yield pool, making, target_of(f"http://127.0.0.1:{server.port}/")
        pool.close()
        await asyncio.sleep(0)


async def test_who_waits_longest_takes_the_first_that_becomes_free() -> None:
    """And the connections that were being made wait for the next ones."""
    async with slow() as (pool, making, target):
        due = pool.loop.time() + 5
        first = await pool.get(target, due)
        made = making.hold(2)
        waiting = [asyncio.create_task(pool.get(target, due)) for _ in range(2)]
        await asyncio.sleep(0)
        pool.give(target, first)
        assert await waiting[0] is first
        assert not waiting[1].done()
        pool.give(target, first)
        assert await waiting[1] is first
        for one in made:
            one.set_result(True)
        await asyncio.sleep(0.05)
        spare = {await pool.get(target, due) for _ in range(2)}
        assert len(spare) == 2
        assert first not in spare


async def test_one_who_leaves_while_it_is_handed_over_hands_it_on() -> None:
    """No connection is lost with a caller."""
    async with slow() as (pool, making, target):
        due = pool.loop.time() + 5
        first = await pool.get(target, due)
        making.hold(1)
        leaving = asyncio.create_task(pool.get(target, due))
        await asyncio.sleep(0)
        pool.give(target, first)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await pool.get(target, due) is first


async def test_a_connection_that_cannot_be_made_is_told_to_its_waiter() -> None:
    """The next one tries anew."""
    async with slow() as (pool, making, target):
        (one,) = making.hold(1)
        one.set_result(False)
        with pytest.raises(Unreachable):
            await pool.get(target, pool.loop.time() + 5)
        assert (await pool.get(target, pool.loop.time() + 5)).reusable


async def test_nobody_waits_for_a_connection_that_nobody_makes() -> None:
    """The second one's went to the first, whose own fails: then the second has to hear of it."""
    async with slow() as (pool, making, target):
        made = making.hold(3)
        waiting = [asyncio.create_task(pool.get(target, pool.loop.time() + 5)) for _ in range(3)]
        await asyncio.sleep(0)
        made[1].set_result(True)
        assert (await waiting[0]).reusable
        made[0].set_result(False)
        with pytest.raises(Unreachable):
            await waiting[1]
        assert not waiting[2].done()
        made[2].set_result(True)
        assert (await waiting[2]).reusable


async def test_waiting_ends_at_its_own_deadline() -> None:
    """Whatever is being made."""
    async with slow() as (pool, making, target):
        making.hold(1)
        with pytest.raises(NoConnectionInTime):
            await pool.get(target, pool.loop.time() + 0.05)

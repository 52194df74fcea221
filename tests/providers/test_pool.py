"""Who waits for a connection, and which one it gets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.providers.test_http1 import raw
from turnout.providers.http1 import Connection
from turnout.providers.pool import Pool, Target, Unreachable, target_of


class Slow(Pool):
    """A pool whose new connections stand only once ``gate`` is open."""

    gate: asyncio.Event
    fails = False

    async def connect(self, target: Target, due: float) -> Connection:
        """As the pool does, later."""
        if not self.gate.is_set():
            await self.gate.wait()
        if self.fails:
            raise Unreachable
        return await super().connect(target, due)


@asynccontextmanager
async def slow() -> AsyncIterator[tuple[Slow, Target]]:
    """A pool, its gate open, and a server that it reaches."""
    pool = Slow(asyncio.get_running_loop(), 15.0)
    pool.gate = asyncio.Event()
    pool.gate.set()
    async with raw() as server:
        yield pool, target_of(f"http://127.0.0.1:{server.port}/")
        pool.close()
        await asyncio.sleep(0)


async def test_who_waits_longest_takes_the_first_that_becomes_free() -> None:
    """And the connections that were being made wait for the next ones."""
    async with slow() as (pool, target):
        due = pool.loop.time() + 5
        first = await pool.get(target, due)
        pool.gate.clear()
        waiting = [asyncio.create_task(pool.get(target, due)) for _ in range(2)]
        await asyncio.sleep(0)
        pool.give(target, first)
        assert await waiting[0] is first
        assert not waiting[1].done()
        pool.give(target, first)
        assert await waiting[1] is first
        pool.gate.set()
        await asyncio.sleep(0.05)
        spare = {await pool.get(target, due) for _ in range(2)}
        assert len(spare) == 2
        assert first not in spare


async def test_one_who_leaves_while_it_is_handed_over_hands_it_on() -> None:
    """No connection is lost with a caller."""
    async with slow() as (pool, target):
        due = pool.loop.time() + 5
        first = await pool.get(target, due)
        pool.gate.clear()
        leaving = asyncio.create_task(pool.get(target, due))
        await asyncio.sleep(0)
        pool.give(target, first)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await pool.get(target, due) is first


async def test_a_connection_that_cannot_be_made_is_told_to_its_waiter() -> None:
    """Others wait on for their own."""
    async with slow() as (pool, target):
        pool.fails = True
        with pytest.raises(Unreachable):
            await pool.get(target, pool.loop.time() + 5)
        pool.fails = False
        assert (await pool.get(target, pool.loop.time() + 5)).reusable

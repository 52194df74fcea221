"""Requests that are under way together take each step together; one alone never waits."""

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest

from turnout.runtime.cohort import Cohort, LoopBatcher, ThreadBatcher


async def _served(cohort: Cohort, name: str, seen: list[str]) -> None:
    with cohort:
        for step in range(3):
            seen.append(f"{name}{step}")
            await cohort.end_step()


def test_one_alone_goes_on_at_once() -> None:
    """No turn of the loop is spent where nobody else is there."""
    cohort = Cohort()
    seen: list[str] = []
    alone = _served(cohort, "a", seen)
    with pytest.raises(StopIteration):
        alone.send(None)
    assert seen == ["a0", "a1", "a2"]


def test_each_step_is_taken_by_all_before_the_next() -> None:
    """Three requests interleave step by step."""
    cohort = Cohort()
    seen: list[str] = []

    async def together() -> None:
        with cohort:
            await asyncio.gather(*(_served(cohort, name, seen) for name in "abc"))

    asyncio.run(together())
    assert seen == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


def test_who_fails_is_no_longer_waited_for() -> None:
    """An error ends its request's part."""
    cohort = Cohort()
    seen: list[str] = []
    with pytest.raises(ValueError, match="broke"), cohort:
        raise ValueError("broke")
    with pytest.raises(StopIteration):
        _served(cohort, "a", seen).send(None)


def _hundredths(numbers: Sequence[int]) -> list[int]:
    return [100 // number for number in numbers]


def test_what_many_bring_in_one_step_is_done_at_once() -> None:
    """One call of the work for all; each gets its own result."""
    cohort = Cohort()
    calls: list[list[int]] = []

    def noted(numbers: Sequence[int]) -> list[int]:
        calls.append(list(numbers))
        return _hundredths(numbers)

    async def all_at_once() -> list[int]:
        work = LoopBatcher(cohort, noted)
        with cohort, cohort:
            return await asyncio.gather(*(work.result_for(n) for n in (1, 2, 4)))

    assert asyncio.run(all_at_once()) == [100, 50, 25]
    assert calls == [[1, 2, 4]]


def test_an_error_reaches_its_own_request_alone() -> None:
    """The others get what they would have had without it."""
    cohort = Cohort()

    async def all_at_once() -> list[int | BaseException]:
        work = LoopBatcher(cohort, _hundredths)
        with cohort, cohort:
            found = (work.result_for(n) for n in (5, 0, 10))
            return await asyncio.gather(*found, return_exceptions=True)

    first, second, third = asyncio.run(all_at_once())
    assert (first, third) == (20, 10)
    assert isinstance(second, ZeroDivisionError)


def test_who_has_left_is_not_worked_for() -> None:
    """A caller who leaves in the same step costs nothing, and holds nobody up."""
    cohort = Cohort()
    calls: list[list[int]] = []

    def noted(numbers: Sequence[int]) -> list[int]:
        calls.append(list(numbers))
        return _hundredths(numbers)

    async def one_leaves() -> int:
        work = LoopBatcher(cohort, noted)
        with cohort, cohort:
            leaves = asyncio.ensure_future(work.result_for(1))
            stays = asyncio.ensure_future(work.result_for(2))
            asyncio.get_running_loop().call_soon(leaves.cancel)
            return await stays

    assert asyncio.run(one_leaves()) == 50
    assert calls == [[2]]


def test_many_are_done_in_parts_and_all_are_done() -> None:
    """The loop is not held up by as many as there are; nobody is forgotten."""
    cohort = Cohort()
    sizes: list[int] = []

    def noted(numbers: Sequence[int]) -> list[int]:
        sizes.append(len(numbers))
        return list(numbers)

    async def all_at_once() -> list[int]:
        work = LoopBatcher(cohort, noted)
        with cohort, cohort:
            return await asyncio.gather(*(work.result_for(n) for n in range(70)))

    assert asyncio.run(all_at_once()) == list(range(70))
    assert sizes == [32, 32, 6]


def test_what_waits_for_a_thread_is_done_together_there() -> None:
    """The first is begun at once; those that come meanwhile are done as batches of eight."""
    calls: list[list[int]] = []
    begun, go_on = threading.Event(), threading.Event()

    def noted(numbers: Sequence[int]) -> list[int]:
        calls.append(list(numbers))
        begun.set()
        go_on.wait(10)
        return _hundredths(numbers)

    async def all_of_them(threads: Executor) -> list[int]:
        work = ThreadBatcher(threads, 1, noted)
        first = asyncio.ensure_future(work.result_for(100))
        await asyncio.to_thread(begun.wait, 10)
        others = [asyncio.ensure_future(work.result_for(n)) for n in range(1, 11)]
        await asyncio.sleep(0)
        others.pop(2).cancel()
        await asyncio.gather(*(asyncio.sleep(0) for _ in range(3)))  # he has left by now
        go_on.set()
        return await asyncio.gather(first, *others)

    with ThreadPoolExecutor(1) as threads:
        found = asyncio.run(all_of_them(threads))
    assert found == [1, *(100 // n for n in (1, 2, 4, 5, 6, 7, 8, 9, 10))]
    assert calls == [[100], [1, 2, 4, 5, 6, 7, 8], [9, 10]]


def test_several_threads_share_what_waits() -> None:
    """No thread takes what another one is free for."""
    sizes: list[int] = []
    begun, go_on = threading.Semaphore(0), threading.Event()

    def noted(numbers: Sequence[int]) -> list[int]:
        if numbers == [0]:
            begun.release()
            go_on.wait(10)
        else:
            sizes.append(len(numbers))
        return list(numbers)

    async def all_of_them(threads: Executor) -> None:
        work = ThreadBatcher(threads, 2, noted)
        blocked = []
        for _ in range(2):
            blocked.append(asyncio.ensure_future(work.result_for(0)))
            await asyncio.to_thread(begun.acquire, timeout=10)
        others = [asyncio.ensure_future(work.result_for(n)) for n in range(1, 5)]
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(*blocked, *others)

    with ThreadPoolExecutor(2) as threads:
        asyncio.run(all_of_them(threads))
    assert max(sizes) <= 2
    assert sum(sizes) == 4


def test_an_error_on_a_thread_reaches_its_own_request_alone() -> None:
    """The others of its batch get what they would have had without it."""

    async def all_of_them(threads: Executor) -> list[int | BaseException]:
        work = ThreadBatcher(threads, 1, _hundredths)
        threads.submit(time.sleep, 0.05)
        found = (work.result_for(n) for n in (5, 0, 10))
        return await asyncio.gather(*found, return_exceptions=True)

    with ThreadPoolExecutor(1) as threads:
        first, second, third = asyncio.run(all_of_them(threads))
    assert (first, third) == (20, 10)
    assert isinstance(second, ZeroDivisionError)

"""Requests that are under way together take each step together; one alone never waits."""

import asyncio

import pytest

from turnout.runtime.cohort import Cohort


async def _served(cohort: Cohort, name: str, seen: list[str]) -> None:
    with cohort:
        for step in range(3):
            seen.append(f"{name}{step}")
            await cohort.in_step()


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

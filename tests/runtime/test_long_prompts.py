"""Long prompts and short ones beside each other."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.runtime.world import CODE, FACT, router
from turnout import Router
from turnout.classifiers import LocalClassifier
from turnout.classifiers.local import FirstVerdict
from turnout.core import Message
from turnout.testing import FaultyUpstream

PAGE = "".join(f"The keeper writes down when train {i} came. " for i in range(120_000))


def test_the_second_stage_does_not_wait_for_a_long_prompt() -> None:
    """Prompts that need it are decided while megabytes are read."""

    async def beside() -> list[str]:
        done: list[str] = []

        async def decided(name: str, prompt: str) -> None:
            await r.aroute(prompt)
            done.append(name)

        await decided("first", "Make it nicer")
        long = asyncio.create_task(decided("long", PAGE))
        await asyncio.sleep(0.1)
        for _ in range(3):
            await decided("little", "Make it nicer")
        await long
        return done

    with FaultyUpstream() as upstream, router(upstream) as r:
        assert asyncio.run(beside()) == ["first", "little", "little", "little", "long"]


class Watched(LocalClassifier):
    """A classifier that notes where it reads."""

    def begin_batch(self, conversations: Sequence[Sequence[Message]]) -> list[FirstVerdict]:
        """As usual."""
        WHERE.append(threading.current_thread().name)
        return super().begin_batch(conversations)


WHERE: list[str] = []


@pytest.mark.parametrize("prepared", [False, True])
def test_the_loop_does_not_wait_for_what_the_first_prompts_load(*, prepared: bool) -> None:
    """They are read on a thread, unless all is there; then on the loop itself."""

    async def asked(r: Router) -> list[str]:
        WHERE.clear()
        for _ in range(9):
            await asyncio.gather(r.aroute(FACT), r.aroute(CODE))
        return WHERE

    with FaultyUpstream() as upstream, router(upstream) as plain:
        watched = Router(replace(plain.parts, classifier=Watched.load()))
        if prepared:
            watched.prepare()
        where = asyncio.run(asked(watched))
    here = threading.current_thread().name
    assert [name == here for name in where] == [prepared] * 16 + [True, True]

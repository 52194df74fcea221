"""Long prompts and short ones beside each other."""

import asyncio

from tests.runtime.world import router
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

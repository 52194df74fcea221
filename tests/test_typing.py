"""What people write with the library passes the strict type checker, as the package itself does."""

import re
from pathlib import Path

from mypy import api

README = Path(__file__).parents[1] / "README.md"

PROGRAM = """
import asyncio

from turnout import AsyncOpenAI, BudgetExceeded, Constraints, OpenAI, RequestError, Router

ASKED = [{"role": "user", "content": "Hello"}]


def cost(router: Router, prompt: str) -> int | None:
    try:
        reply = router.chat(prompt, constraints=Constraints(quality=0.9))
    except BudgetExceeded as full:
        print([standing.left for standing in full.standings])
    except RequestError as error:
        print(error)
    else:
        return reply.receipt.cost_pico_usd
    return None


async def alone() -> str:
    async with Router.from_env() as router:
        stream = await router.achat("Hello", stream=True)
        parts = [chunk["choices"][0]["delta"].get("content") or "" async for chunk in stream]
        return "".join(parts) + stream.reply.text


def dropped_in() -> None:
    with OpenAI() as client:
        print(client.chat.completions.create(messages=ASKED).choices[0].message.content)
        for part in client.chat.completions.create(messages=ASKED, stream=True):
            print(part.choices[0].delta.content)


async def dropped_in_too() -> None:
    async with AsyncOpenAI() as client:
        answer = await client.chat.completions.create(messages=ASKED)
        print(answer.choices[0].message.content)
        async for part in await client.chat.completions.create(messages=ASKED, stream=True):
            print(part.choices[0].delta.content)


dropped_in()
asyncio.run(dropped_in_too())
print(asyncio.run(alone()))
"""


def test_programs_pass_strictly(tmp_path: Path) -> None:
    """The README's own one, and one that uses errors, streams and both drop-ins."""
    shown = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    ours = [text for text in shown if "from turnout import" in text]
    assert ours
    files = []
    for number, text in enumerate([PROGRAM, *ours]):
        files.append(tmp_path / f"program{number}.py")
        files[-1].write_text(text)
    cache = tmp_path / "cache"
    said, wrong, code = api.run(["--strict", f"--cache-dir={cache}", *map(str, files)])
    assert code == 0, said + wrong

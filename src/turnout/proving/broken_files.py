"""Broken configurations under load: none is accepted, each is reported, and no caller notices."""

import asyncio
import random
import signal
from collections.abc import Callable
from contextlib import ExitStack

import yaml

from turnout.proving.callers import Callers, settings
from turnout.proving.report import Check, Shown, judged, unseen
from turnout.testing import FaultyUpstream, Served, serving

_LOAD = 8


def broken_configurations(
    count: int, seed: int, *, taken: bool = False, shown: Shown = unseen
) -> Check:
    """``count`` broken files in place of a good one; ``taken`` adds one that is not broken."""
    return asyncio.run(_broken(count, random.Random(seed), taken=taken, shown=shown))


async def _broken(count: int, chance: random.Random, *, taken: bool, shown: Shown) -> Check:
    with ExitStack() as stack:
        upstream = stack.enter_context(FaultyUpstream())
        good = settings(upstream)
        served = await asyncio.to_thread(stack.enter_context, serving(good))
        text = served.config_path.read_text(encoding="utf-8")
        callers = Callers(served.port, _LOAD, "fast")
        unsaid = 0
        for number in range(count):
            said = served.log().count("is not taken")
            bad = yaml.safe_dump({**good, "ledger": "off", "refusal": "No."}).encode()
            if not (taken and number == count // 2):
                bad = _broken_text(text, chance)
            served.config_path.write_bytes(bad)
            served.process.send_signal(signal.SIGHUP)
            unsaid += not await _said(served, said)
            shown(number + 1)
        await callers.stop()
        reloads = served.log().count("configuration reloaded")
    wrong = {"taken": reloads, "not reported": unsaid, **callers.seen}
    return judged(
        "broken configurations", wrong, configurations=count, acknowledged=callers.answered
    )


async def _said(served: Served, before: int) -> bool:
    """Whether the log says within ten seconds that a configuration was refused."""
    for _ in range(500):
        if served.log().count("is not taken") > before:
            return True
        await asyncio.sleep(0.02)
    return False


def _broken_text(text: str, chance: random.Random) -> bytes:
    """One of many ways to break a configuration, at a place drawn by chance."""
    lines = text.splitlines()
    place = chance.randrange(1, len(lines))
    number = chance.randrange(10**6)
    breaks: tuple[Callable[[], str], ...] = (
        lambda: "\n".join([*lines[:place], "  : : [", *lines[place:]]),
        lambda: f"{text}\nunknown_{number}: 1\n",
        lambda: text.replace("default: fast", f"default: nobody{number}"),
        lambda: text.replace("simple_qa: fast", f"simple_qa: nobody{number}"),
        lambda: text.replace("input: 1", f"input: -{number + 1}"),
        lambda: text.replace("input: 1", "input: cheap"),
        lambda: text.replace("http://127.0.0.1", f"ftp{number}://127.0.0.1"),
        lambda: text.replace("total_s: 120", f"total_s: [{number}]"),
        lambda: text.replace("retries: 0", f"retries: -{number + 1}"),
        lambda: text.replace("provider: acme", f"provider: nobody{number}"),
        lambda: text + "default: fast\n",
        lambda: text[: text.index("models:") + chance.randrange(8)],
        lambda: "\x00" * chance.randrange(1, 99),
        lambda: "- a\n- list\n" * chance.randrange(1, 9),
        lambda: "".join(chance.choices("abc:{}[]&*!|>'\"%@`\n ", k=200)) + "\n:",
        lambda: '"' + text,
        lambda: "",
    )
    return chance.choice(breaks)().encode()

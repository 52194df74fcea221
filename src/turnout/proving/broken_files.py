"""Broken configurations under load: none is accepted, each is reported, and no caller notices."""

import asyncio
import random
import signal
from collections.abc import Callable
from contextlib import ExitStack

import yaml

from turnout.config.events import REFUSED, RELOADED
from turnout.proving.callers import Callers, settings
from turnout.proving.report import Check, Trial, check_of
from turnout.testing import FaultyUpstream, Served, serving

_CALLERS = 8


def broken_configurations(count: int, trial: Trial, *, with_valid_file: bool = False) -> Check:
    """``count`` broken files in place of a good one; ``with_valid_file`` adds a valid one."""
    return asyncio.run(_run(count, trial, with_valid_file=with_valid_file))


async def _run(count: int, trial: Trial, *, with_valid_file: bool) -> Check:
    rng = random.Random(trial.seed)
    with ExitStack() as stack:
        upstream = stack.enter_context(FaultyUpstream())
        good = settings(upstream)
        served = await asyncio.to_thread(stack.enter_context, serving(good))
        text = served.config_path.read_text(encoding="utf-8")
        callers = Callers(served.port, _CALLERS, "fast")
        unreported = 0
        for number in range(count):
            reports_before = served.log().count(REFUSED)
            content = yaml.safe_dump({**good, "ledger": "off", "refusal": "No."}).encode()
            if not (with_valid_file and number == count // 2):
                content = _broken_text(text, rng)
            served.config_path.write_bytes(content)
            served.process.send_signal(signal.SIGHUP)
            unreported += not await _is_reported(served, reports_before)
            trial.progress(number + 1)
        await callers.stop()
        reloads = served.log().count(RELOADED)
    wrong = {"taken": reloads, "not reported": unreported, **callers.failures}
    return check_of(
        "broken configurations",
        wrong,
        fix="raise --configs",
        configurations=count,
        acknowledged=callers.answered,
    )


async def _is_reported(served: Served, before: int) -> bool:
    """Whether the log says within ten seconds that a configuration was refused."""
    for _ in range(500):
        if served.log().count(REFUSED) > before:
            return True
        await asyncio.sleep(0.02)
    return False


def _broken_text(text: str, rng: random.Random) -> bytes:
    """One of many ways to break a configuration, at a place drawn by chance."""
    lines = text.splitlines()
    place = rng.randrange(1, len(lines))
    number = rng.randrange(10**6)
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
        lambda: text[: text.index("models:") + rng.randrange(8)],
        lambda: "\x00" * rng.randrange(1, 99),
        lambda: "- a\n- list\n" * rng.randrange(1, 9),
        lambda: "".join(rng.choices("abc:{}[]&*!|>'\"%@`\n ", k=200)) + "\n:",
        lambda: '"' + text,
        lambda: "",
    )
    return rng.choice(breaks)().encode()

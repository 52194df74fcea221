"""Restarts under streams, and broken configurations under load: nobody notices either.

Every other restart replaces the workers one by one (SIGUSR2); the others start a whole new gateway
that takes the socket over from the old one. All the while a fixed number of callers stream, each
request on a connection of its own.

Invariant: an answer counts only with the dialect's own end mark and the nonce that was asked for.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from turnout.proving.report import Check, judged
from turnout.testing import FaultyUpstream, Served, serving
from turnout.testing.caller import ask, body_of
from turnout.testing.faults import Outcome
from turnout.testing.outcomes import outcome_of, text_of

_WORKERS = 2
_PATIENCE_S = 90.0
_FAILED = "failed"
_CUT = "cut"
_OTHER = "answers of another request"
_MODEL = "f-drip150ms"
_LOAD = 8


class _Callers:
    """``count`` callers who stream one answer after another until they are told to stop."""

    def __init__(self, port: int, count: int, model: str) -> None:
        self.port, self.model = port, model
        self.seen: Counter[str] = Counter({_FAILED: 0, _CUT: 0, _OTHER: 0})
        self.answered = 0
        self.reasons: Counter[str] = Counter()
        self._over = False
        self._tasks = [asyncio.create_task(self._call(number)) for number in range(count)]

    async def stop(self) -> None:
        """Lets everybody finish."""
        self._over = True
        await asyncio.gather(*self._tasks)

    async def _call(self, caller: int) -> None:
        number = 0
        await asyncio.sleep(caller * 0.02)
        while not self._over:
            number += 1
            nonce = f"c{caller}x{number}"
            body = body_of("chat", self.model, f"Say something. nonce: {nonce}", stream=True)
            got = await ask(self.port, "chat", body, timeout_s=_PATIENCE_S)
            outcome = outcome_of(got)
            if outcome == Outcome.ANSWER and f"answers {nonce}:" in text_of(got):
                self.answered += 1
                continue
            cut = got.status == 200 and outcome in (Outcome.SILENT, Outcome.TOLD)
            self.seen[_CUT if cut else _OTHER if got.status == 200 else _FAILED] += 1
            self.reasons[f"{got.status} {outcome} {got.body[-120:]!r}"] += 1


def restarts(
    times: int,
    count: int,
    *,
    abrupt: bool = False,
    shown: Callable[[int], None] = lambda _: None,
) -> Check:
    """``times`` restarts under ``count`` streams; ``abrupt`` ends the old ones with SIGKILL."""
    return asyncio.run(_restarts(times, count, abrupt=abrupt, shown=shown))


async def _restarts(times: int, count: int, *, abrupt: bool, shown: Callable[[int], None]) -> Check:
    with ExitStack() as stack:
        upstream = stack.enter_context(FaultyUpstream())
        options = ["--workers", str(_WORKERS), "--log-level", "WARNING"]
        served = await asyncio.to_thread(
            stack.enter_context, serving(_config(upstream), options=options)
        )
        line = _Line(served, options)
        stack.callback(line.end)
        callers = _Callers(served.port, count, "slow")
        await asyncio.sleep(2)
        began = time.monotonic()
        for number in range(times):
            replace = line.roll if number % 2 == 0 else line.take_over
            await asyncio.to_thread(replace, abrupt=abrupt)
            upstream.requests.clear()
            shown(number + 1)
        took = time.monotonic() - began
        await callers.stop()
    check = judged(
        "restarts", dict(callers.seen), restarts=times, streams=count,
        acknowledged=callers.answered, seconds=round(took),
    )  # fmt: skip
    worst = ", ".join(f"{why} {n}" for why, n in callers.reasons.most_common(3))
    return Check(name=check.name, result=check.result, figures=check.figures, detail=worst)


class _Line:
    """The gateway that serves now, and how the next one comes in its place."""

    def __init__(self, served: Served, options: list[str]) -> None:
        self._served = served
        self._options = options
        self._process = served.process

    def roll(self, *, abrupt: bool) -> None:
        """Replaces the workers one by one."""
        before = set(_children(self._process.pid))
        if abrupt:
            for worker in before:
                os.kill(worker, signal.SIGKILL)
        else:
            self._process.send_signal(signal.SIGUSR2)
        _until(lambda: not before & set(_children(self._process.pid)), "the workers to be replaced")

    def take_over(self, *, abrupt: bool) -> None:
        """Starts a whole gateway, which takes over from the one there is."""
        old = self._process
        place = str(self._served.config_path.parent)
        command = [sys.executable, "-m", "turnout", "serve", "--take-over", *self._options]
        command += ["--config", str(self._served.config_path), "--port", str(self._served.port)]
        if abrupt:
            for pid in (*_children(old.pid), old.pid):
                os.kill(pid, signal.SIGKILL)
            command.remove("--take-over")
        with self._served.log_path.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                stdout=out,
                stderr=out,
                env={**os.environ, "TURNOUT_STATE_DIR": place, "XDG_DATA_HOME": place},
            )
        _until(lambda: old.poll() is not None, "the old gateway to end")

    def end(self) -> None:
        """Ends the last one; the first one is ended by who started it."""
        if self._process is not self._served.process:
            self._process.terminate()
            self._process.wait()


def _children(pid: int) -> list[int]:
    """The workers of a supervisor."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(child) for child in text.split()]


def _until(done: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not done():
        if time.monotonic() > until:
            raise RuntimeError(f"waited {_PATIENCE_S:g} s for {what}")
        time.sleep(0.05)


def _config(upstream: FaultyUpstream) -> dict[str, Any]:
    price = {"input": 1, "output": 2}
    return {
        "providers": {"acme": {"base_url": upstream.base_url, "api_key": "k3y"}},
        "provider": "acme",
        "models": {
            "fast": {"model": "acme/fast", "price": price},
            "slow": {"model": _MODEL, "price": price},
        },
        "intents": {"simple_qa": "fast"},
        "default": "fast",
        "timeouts": {"connect_s": 30, "first_token_s": 60, "inter_token_s": 60, "total_s": 120},
        "retries": {"retries": 0},
    }


def broken_configurations(
    count: int,
    seed: int,
    *,
    taken: bool = False,
    shown: Callable[[int], None] = lambda _: None,
) -> Check:
    """``count`` broken files in place of a good one; ``taken`` slips one in that is not broken."""
    return asyncio.run(_broken(count, random.Random(seed), taken=taken, shown=shown))


async def _broken(
    count: int, chance: random.Random, *, taken: bool, shown: Callable[[int], None]
) -> Check:
    with ExitStack() as stack:
        upstream = stack.enter_context(FaultyUpstream())
        good = _config(upstream)
        served = await asyncio.to_thread(stack.enter_context, serving(good))
        text = served.config_path.read_text(encoding="utf-8")
        callers = _Callers(served.port, _LOAD, "fast")
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
    """Whether the log says within ten seconds that a configuration was not taken."""
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

"""Many requests, a tenth of them aborted, through a real gateway: nothing may keep growing.

The slope is a straight line through samples of resident memory in the later half of the requests,
in MiB a 100,000 of them: tables, caches and pools warm up before, and what leaks goes on. The
largest step between two samples, up to 2 MiB, is told apart: memory that is used for the first
time, and once.

Invariant: memory, sockets and tasks are read from the system and the gateway's own metrics.
"""

import asyncio
import random
import re
import urllib.request
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from statistics import linear_regression
from typing import get_args

from turnout.proving.crowd import run_concurrently
from turnout.proving.report import Check, Trial
from turnout.testing import FaultyUpstream, Served, serving
from turnout.testing.caller import ask, body_of
from turnout.testing.outcomes import Dialect

MOST_SLOPE = 2**20
_MOST_STEP = 2 * 2**20
_PER_REQUESTS = 100_000
_TASKS = 32
_ABORTED = 0.1
_SAMPLES = 40
_ALLOWED_GROWTH = 5
_DIALECTS: tuple[Dialect, ...] = get_args(Dialect)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Resources in use after so many requests."""

    requests: int
    rss_bytes: int
    descriptors: int
    tasks: int


def soak(count: int, trial: Trial, *, leak: bool = False) -> Check:
    """``count`` requests in all dialects, half of them streamed."""
    return asyncio.run(_soak(count, trial, leak=leak))


async def _soak(count: int, trial: Trial, *, leak: bool) -> Check:
    rng = random.Random(trial.seed)
    samples: list[Sample] = []
    statuses: Counter[int] = Counter()
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(FaultyUpstream())
        program = ["turnout.testing.sabotaged", "leak"] if leak else ["turnout"]
        served = await asyncio.to_thread(
            stack.enter_context,
            serving(_config(upstream), program=program, options=["--log-level", "ERROR"]),
        )

        async def send(number: int) -> None:
            statuses[await _send_request(served, number, rng)] += 1

        step = max(1, count // _SAMPLES)
        for first in range(0, count, step):
            done = min(count, first + step)
            await run_concurrently(range(first, done), send, _TASKS)
            upstream.invoice.clear()
            upstream.requests.clear()
            samples.append(await asyncio.to_thread(_sample, served, done))
            trial.progress(done)
    return soak_check(samples, statuses)


async def _send_request(served: Served, number: int, rng: random.Random) -> int:
    """One request; its status, 0 if the caller disconnected."""
    leave_after_s = rng.random() * 0.02 if rng.random() < _ABORTED else None
    dialect = rng.choice(_DIALECTS)
    text = f"What is the capital of Japan? nonce: n{number}"
    body = body_of(dialect, "auto", text, stream=rng.random() < 0.5)
    return (await ask(served.port, dialect, body, leave_after_s=leave_after_s)).status


def _sample(served: Served, requests: int) -> Sample:
    with urllib.request.urlopen(f"{served.root}/metrics") as answer:  # noqa: S310 -- loopback
        found = re.search(rb"(?m)^turnout_tasks (\d+)", answer.read())
    return Sample(
        requests=requests,
        rss_bytes=served.rss_bytes(),
        descriptors=served.descriptors(),
        tasks=int(found[1]) if found else -1,
    )


def soak_check(samples: Sequence[Sample], statuses: Counter[int]) -> Check:
    """PASS when nothing grew and nothing went wrong."""
    later_half = [sample for sample in samples if 2 * sample.requests >= samples[-1].requests]
    slope, step = _slope_and_step(later_half)
    descriptors = _growth([sample.descriptors for sample in later_half])
    tasks = _growth([sample.tasks for sample in later_half])
    bad = sum(number for status, number in statuses.items() if status not in (0, 200))
    has_grown = (
        slope >= MOST_SLOPE
        or descriptors > _ALLOWED_GROWTH
        or tasks > _ALLOWED_GROWTH
        or later_half[0].tasks < 0
    )
    return Check(
        name="soak",
        result="FAIL" if has_grown or bad else "PASS",
        figures={
            "requests": samples[-1].requests,
            "aborted": statuses[0],
            "bad answers": bad,
            "MiB at start": round(samples[0].rss_bytes / 2**20, 1),
            "MiB at end": round(samples[-1].rss_bytes / 2**20, 1),
            "MiB a 100,000 requests": round(slope / 2**20, 2),
            "MiB of one step": round(step / 2**20, 2),
            "sockets and files more": descriptors,
            "tasks more": tasks,
        },
    )


def _slope_and_step(samples: Sequence[Sample]) -> tuple[float, int]:
    """Bytes in 100,000 requests without the largest step, and that step, as far as it may be."""
    done, rss = [s.requests for s in samples], [s.rss_bytes for s in samples]
    if len(rss) < 2:
        return 0.0, 0
    steps = [after - before for before, after in pairwise(rss)]
    after_it = steps.index(max(steps)) + 1
    step = min(max(0, *steps), _MOST_STEP)
    level = [*rss[:after_it], *(bytes_ - step for bytes_ in rss[after_it:])]
    return linear_regression(done, level).slope * _PER_REQUESTS, step


def _growth(counts: Sequence[int]) -> int:
    """The growth of the least count in the last third; a pool's connections come and go."""
    third = max(1, len(counts) // 3)
    return min(counts[-third:]) - min(counts[:third])


def _config(upstream: FaultyUpstream) -> dict[str, object]:
    price = {"input": 1, "output": 2}
    return {
        "providers": {"acme": {"base_url": upstream.base_url, "api_key": "k3y"}},
        "provider": "acme",
        "models": {"fast": {"model": "acme/fast", "price": price}},
        "intents": {"simple_qa": "fast", "unsafe": "block"},
        "default": "fast",
        "timeouts": {"connect_s": 10, "first_token_s": 30, "inter_token_s": 30, "total_s": 60},
    }

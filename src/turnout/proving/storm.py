"""The proof of outages: the load that a gateway puts on a failing provider.

Requests come at a fixed rate, whatever happens, to a provider that is healthy and then fails.
Amplification is calls at the provider divided by requests of callers. A call is early when it
arrives within the time that a 429 named, later than ``GRACE_S`` after that answer was sent. The
peak of the recovery is the most calls in any window, divided by the most before the outage.

Invariant: everything is counted by the provider's own invoice.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from turnout.proving.report import Check, Trial
from turnout.proving.sabotages import Storm as Sabotage
from turnout.testing import FaultyUpstream, InvoiceEntry, Served, serving
from turnout.testing.caller import ask, body_of
from turnout.testing.faults import ALWAYS_ASKED
from turnout.testing.script import HONEST, Script

GRACE_S = 0.25
WINDOW_S = 2.0
MOST_AMPLIFICATION = 1.10
MOST_PEAK = 1.2
_WAIT_S = 3.0
_COOLDOWN_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """``rate`` requests a second; a phase lasts ``phase_s`` seconds."""

    rate: float = 25.0
    phase_s: float = 12.0


class _FailingUpstream(FaultyUpstream):
    """An upstream whose model ``main`` fails a share of its calls while ``fault`` is set."""

    def __init__(self, share: float, seed: int) -> None:
        super().__init__()
        self.fault = ""
        self._share = share
        self._chance = random.Random(seed)

    def _script(self, model: str) -> Script:
        fails = self.fault and model == "acme/main" and self._chance.random() < self._share
        self.scripts["acme/main"] = self.fault if fails else "honest"
        return super()._script(model) if model == "acme/main" else HONEST


def storms(
    share: float, load: Load, trial: Trial, *, sabotage: Sabotage | None = None
) -> Sequence[Check]:
    """The outage by failures with and without another provider, and by rate limits."""
    outages = [
        asyncio.run(_outage(share, load, trial.seed, sabotage, fault, spare=spare))
        for fault in ("f-500", "f-reset@0")
        for spare in (True, False)
    ]
    return [*outages, asyncio.run(_limited(load, trial.seed, sabotage))]


async def _outage(
    share: float, load: Load, seed: int, sabotage: Sabotage | None, fault: str, *, spare: bool
) -> Check:
    """Healthy, failing, healthy again."""
    async with _FailingUpstream(share, seed) as upstream:
        with serving(_config(upstream, sabotage, spare=spare)) as served:
            await _send_load(served, load, load.phase_s / 2)
            steady = _peak_calls(upstream.entries("acme/main"))
            upstream.invoice.clear()
            upstream.fault = fault
            statuses = await _send_load(served, load, load.phase_s)
            calls = len(upstream.entries("acme/main"))
            upstream.invoice.clear()
            upstream.fault = ""
            await _send_load(served, load, load.phase_s + 2 * _COOLDOWN_S)
            recovered = upstream.entries("acme/main")
    asked = sum(statuses.values())
    amplification = calls / asked
    peak = _peak_calls(recovered) / max(1, steady)
    # Without another provider callers get an error with a time; with one they notice nothing.
    bad = asked - statuses[200] if spare else statuses[0] + statuses[500]
    answered_after = sum(entry.status == 200 for entry in recovered)
    ok = amplification <= MOST_AMPLIFICATION and peak <= MOST_PEAK and not (bad and spare)
    return Check(
        name=f"outage by {fault} {'beside' if spare else 'without'} another provider",
        result="PASS" if ok and answered_after and not bad else "FAIL",
        figures={
            "requests": asked,
            "calls": calls,
            "amplification": round(amplification, 3),
            "steady calls a window": steady,
            "recovery peak": round(peak, 2),
            "answers after": answered_after,
            "bad answers": bad,
        },
    )


async def _limited(load: Load, seed: int, sabotage: Sabotage | None) -> Check:
    """429 with a Retry-After: no call arrives before that time."""
    async with _FailingUpstream(1.0, seed) as upstream:
        upstream.fault = f"f-429-ra{_WAIT_S:g}"
        if sabotage:
            upstream.fault = "f-429-rams1"
        with serving(_config(upstream, sabotage, spare=True)) as served:
            statuses = await _send_load(served, load, load.phase_s)
            entries = upstream.entries("acme/main")
    early = _early_calls(entries)
    bad = sum(statuses.values()) - statuses[200]
    return Check(
        name="rate limits with a time",
        result="FAIL" if early or bad or not entries else "PASS",
        figures={
            "requests": sum(statuses.values()),
            "calls": len(entries),
            "early calls": early,
            "bad answers": bad,
        },
    )


async def _send_load(served: Served, load: Load, seconds: float) -> Counter[int]:
    """Requests at the rate; their statuses."""
    body = body_of("chat", "main-or-spare", "What is the capital of Japan?")
    asked = []
    next_s = time.monotonic()
    end_s = next_s + seconds
    while next_s < end_s:
        await asyncio.sleep(next_s - time.monotonic())
        asked.append(asyncio.create_task(ask(served.port, "chat", body)))
        next_s += 1 / load.rate
    return Counter(response.status for response in await asyncio.gather(*asked))


def _peak_calls(entries: Sequence[InvoiceEntry]) -> int:
    """The most calls in any window."""
    starts = sorted(entry.started_s for entry in entries)
    most = first = 0
    for last, start in enumerate(starts):
        while starts[first] < start - WINDOW_S:
            first += 1
        most = max(most, last - first + 1)
    return most


def _early_calls(entries: Sequence[InvoiceEntry]) -> int:
    """Calls that arrived within the time that an earlier 429 named."""
    ends = [entry.ended_s or 0.0 for entry in entries]
    return sum(
        any(end + GRACE_S < entry.started_s < end + _WAIT_S - GRACE_S for end in ends)
        for entry in entries
    )


def _config(upstream: FaultyUpstream, sabotage: Sabotage | None, *, spare: bool) -> dict[str, Any]:
    direct = {"base_url": upstream.base_url, "api_key": "k3y"}
    price = {"input": 1, "output": 2}
    models = {"main": {"model": "acme/main", "provider": "acme", "price": price}}
    if spare:
        models["spare"] = {"model": "acme/spare", "provider": "spare", "price": price}
    health = {"cooldown_s": _COOLDOWN_S, "longest_s": 2 * _COOLDOWN_S}
    if sabotage:
        # No cooldowns, and unlimited retries.
        health = {**ALWAYS_ASKED, "retry_share": 1, "retry_reserve": 10**9}
    return {
        "providers": {"acme": direct, "spare": {**direct, "api_key": "k3y-2"}},
        "models": models,
        "intents": {"main-or-spare": "main"},
        "default": "main",
        "fallbacks": {"main": ["spare"]} if spare else {},
        "timeouts": {"connect_s": 5, "first_token_s": 5, "inter_token_s": 5, "total_s": 10},
        "retries": {"retries": 2, "base_s": 0.05, "longest_wait_s": 1},
        "health": health,
    }

"""The proof of streams: every fault through a real gateway, with the documented outcomes.

Each request asks for a model with one fault, whose chain ends at an honest model of another
provider. So every 5xx is the gateway's own fault, whatever its text says, and each stream ends in
one of the ways of ``turnout.testing.faults`` or was truncated silently.

Invariant: an answer is complete by the upstream's own count of tokens, not by the gateway's.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from turnout.proving.crowd import share
from turnout.proving.report import Check, Shown, judged, unseen
from turnout.proving.sabotages import Streams as Sabotage
from turnout.testing import FaultProxy, FaultyUpstream, serving
from turnout.testing.answers import tokens_of
from turnout.testing.caller import ask, body_of
from turnout.testing.faults import ALWAYS_ASKED, FAULTS, HEAVY, Fault, Outcome
from turnout.testing.outcomes import Dialect, Got, outcome_of, text_of

TASKS = 24
_WHOLE = 0.1
_TOKENS = 24
_SPARE = "acme/spare"
_LEFT_ALONE = "faulty model left alone"
_DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
_COUNTS = (
    "other outcome than documented",
    "silent truncations",
    "5xx",
    "answers of another request",
    "tracebacks",
    "faults never met",
)
# A fault drawn this often must have occurred once, or the proof says nothing about it.
_OFTEN = 10


def streams(
    count: int, seed: int, *, sabotage: Sabotage | None = None, shown: Shown = unseen
) -> Check:
    """``count`` requests, nine of ten streamed, each with a fault drawn by ``seed``."""
    return asyncio.run(_streams(count, random.Random(seed), sabotage, shown))


async def _streams(
    count: int, chance: random.Random, sabotage: Sabotage | None, shown: Shown
) -> Check:
    met = _Met()
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(FaultyUpstream())
        proxies = {
            fault.name: await stack.enter_async_context(FaultProxy(upstream.port, fault.toxics))
            for fault in FAULTS
            if fault.toxics is not None or fault.down
        }
        for fault in FAULTS:
            if fault.down:
                await proxies[fault.name].turn(down=True)
        config = _config(upstream, proxies, spare=sabotage != "no-fallback")
        start = ["turnout.testing.sabotaged", sabotage] if sabotage == "clean-end" else ["turnout"]
        served = await asyncio.to_thread(stack.enter_context, serving(config, program=start))

        async def one(number: int) -> None:
            fault, nonce = _drawn(chance), f"n{number}"
            met.add(fault, await _asked(served.port, fault, nonce, chance), nonce)
            upstream.requests.clear()
            shown(number + 1)

        await share(range(count), one, TASKS)
        return met.check(count, tracebacks=served.log().count("Traceback"))


def _drawn(chance: random.Random) -> Fault:
    fault = FAULTS[chance.randrange(len(FAULTS))]
    return FAULTS[0] if fault.name in HEAVY and chance.random() < 0.95 else fault


async def _asked(port: int, fault: Fault, nonce: str, chance: random.Random) -> Got:
    """The answer to a caller who asks for the model with this fault."""
    stream, dialect = chance.random() >= _WHOLE, chance.choice(_DIALECTS)
    text = f"What is the capital of Japan? nonce: {nonce}"
    return await ask(port, dialect, body_of(dialect, _name(fault), text, stream=stream))


@dataclass(slots=True)
class _Met:
    """What callers got, by outcome and by fault, and what was wrong."""

    wrong: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(_COUNTS, 0)))
    seen: Counter[str] = field(default_factory=Counter)
    drawn: Counter[str] = field(default_factory=Counter)
    alone: Counter[str] = field(default_factory=Counter)
    odd: Counter[str] = field(default_factory=Counter)

    def add(self, fault: Fault, got: Got, nonce: str) -> None:
        """Count one answer."""
        outcome, alone = outcome_of(got), _left_alone(got)
        self.drawn[fault.name] += 1
        self.alone[fault.name] += alone
        self.seen[_LEFT_ALONE if alone else outcome] += 1
        found = _wrong(fault, got, outcome, nonce)
        self.wrong.update(found)
        if found:
            kind = "stream" if got.stream else "whole"
            self.odd[f"{fault.name} {got.dialect} {kind}: {got.status} {outcome}"] += 1

    def check(self, requests: int, *, tracebacks: int) -> Check:
        """The verdict, with the oddest answers."""
        never = [
            name
            for name, often in self.drawn.items()
            if often == self.alone[name] and often >= _OFTEN
        ]
        self.wrong.update({"tracebacks": tracebacks, "faults never met": len(never)})
        self.odd.update({f"{name} never met": self.drawn[name] for name in never})
        figures = {name: self.seen[name] for name in (*Outcome, _LEFT_ALONE) if self.seen[name]}
        worst = ", ".join(f"{name} {number}" for name, number in self.odd.most_common(5))
        check = judged("faulty streams", dict(self.wrong), requests=requests, **figures)
        return replace(check, detail=worst)


def _wrong(fault: Fault, got: Got, outcome: Outcome, nonce: str) -> Sequence[str]:
    """What is wrong with this answer, as names of ``_COUNTS``."""
    documented = fault.stream if got.stream else fault.whole
    # There is always another provider here.
    documented = Outcome.NEXT if documented == Outcome.PROVIDER else documented
    as_written = outcome == documented or _left_alone(got)
    found = [] if as_written else ["other outcome than documented"]
    if got.status >= 500:
        found.append("5xx")
    if outcome == Outcome.SILENT:
        found.append("silent truncations")
    if outcome in (Outcome.ANSWER, Outcome.NEXT):
        text = ""
        with suppress(ValueError, LookupError, TypeError):
            text = text_of(got)
        if len(tokens_of(text)) != _TOKENS:
            found.append("silent truncations")
        elif f"answers {nonce}:" not in text:
            found.append("answers of another request")
    return found


def _left_alone(got: Got) -> bool:
    """Whether the faulty model was skipped: after a failure it gets one call at a time."""
    headers = got.headers
    return headers.get("x-turnout-model") == _SPARE and headers.get("x-turnout-attempts") == "1"


def _name(fault: Fault) -> str:
    return f"i{FAULTS.index(fault)}"


def _config(
    upstream: FaultyUpstream, proxies: Mapping[str, FaultProxy], *, spare: bool
) -> dict[str, Any]:
    """A configuration whose intents are the faults; no model cools down, so that each is asked."""
    price = {"input": 1, "output": 2}
    direct = {"base_url": upstream.base_url, "api_key": "k3y"}
    places = {f"p{FAULTS.index(fault)}": fault for fault in FAULTS if fault.name in proxies}
    models = {
        f"m{place}": {
            "model": fault.script if fault.script != "honest" else f"acme/{place}",
            "provider": f"p{place}" if fault.name in proxies else "acme",
            "price": price,
        }
        for place, fault in enumerate(FAULTS)
    }
    return {
        "providers": {
            "acme": direct,
            "spare": {**direct, "api_key": "k3y-2"},
            **{
                name: {**direct, "base_url": proxies[fault.name].base_url}
                for name, fault in places.items()
            },
        },
        "models": {**models, "spare": {"model": _SPARE, "provider": "spare", "price": price}},
        "intents": {f"i{place}": f"m{place}" for place in range(len(FAULTS))},
        "default": "spare",
        "fallbacks": {name: ["spare"] if spare else [] for name in models},
        "timeouts": {"connect_s": 5, "first_token_s": 5, "inter_token_s": 5, "total_s": 8},
        "retries": {"retries": 0},
        "health": ALWAYS_ASKED,
    }

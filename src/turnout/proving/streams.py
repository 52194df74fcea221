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

from turnout.proving.crowd import run_concurrently
from turnout.proving.report import Check, Trial, check_of
from turnout.proving.sabotages import Streams as Sabotage
from turnout.testing import FaultProxy, FaultyUpstream, serving
from turnout.testing.answers import tokens_of
from turnout.testing.caller import ask, body_of
from turnout.testing.faults import ALWAYS_ASKED, FAULTS, HEAVY, Fault, Outcome
from turnout.testing.outcomes import Dialect, Response, outcome_of, text_of

TASKS = 24
_WHOLE_SHARE = 0.1
_TOKENS = 24
_SPARE = "acme/spare"
_SKIPPED = "faulty model left alone"
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


def streams(count: int, trial: Trial, *, sabotage: Sabotage | None = None) -> Check:
    """``count`` requests, nine of ten streamed, each with a fault drawn by ``seed``."""
    return asyncio.run(_streams(count, trial, sabotage))


async def _streams(count: int, trial: Trial, sabotage: Sabotage | None) -> Check:
    rng, result = random.Random(trial.seed), _Result()
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(FaultyUpstream())
        proxies = {
            fault.name: await stack.enter_async_context(FaultProxy(upstream.port, fault.toxics))
            for fault in FAULTS
            if fault.toxics is not None or fault.down
        }
        for fault in FAULTS:
            if fault.down:
                await proxies[fault.name].change_async(down=True)
        config = _config(upstream, proxies, spare=sabotage != "no-fallback")
        start = ["turnout.testing.sabotaged", sabotage] if sabotage == "clean-end" else ["turnout"]
        served = await asyncio.to_thread(stack.enter_context, serving(config, program=start))

        async def send(number: int) -> None:
            fault, nonce = _random_fault(rng), f"n{number}"
            result.add(fault, await _send(served.port, fault, nonce, rng), nonce)
            upstream.requests.clear()
            trial.progress(number + 1)

        await run_concurrently(range(count), send, TASKS)
        return result.check(count, tracebacks=served.log().count("Traceback"))


def _random_fault(rng: random.Random) -> Fault:
    fault = FAULTS[rng.randrange(len(FAULTS))]
    return FAULTS[0] if fault.name in HEAVY and rng.random() < 0.95 else fault


async def _send(port: int, fault: Fault, nonce: str, rng: random.Random) -> Response:
    """The answer to a caller who asks for the model with this fault."""
    stream, dialect = rng.random() >= _WHOLE_SHARE, rng.choice(_DIALECTS)
    text = f"What is the capital of Japan? nonce: {nonce}"
    return await ask(port, dialect, body_of(dialect, _intent_of(fault), text, stream=stream))


@dataclass(slots=True)
class _Result:
    """What callers got, by outcome and by fault, and what was wrong."""

    wrong: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(_COUNTS, 0)))
    outcomes: Counter[str] = field(default_factory=Counter)
    drawn: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    unexpected: Counter[str] = field(default_factory=Counter)

    def add(self, fault: Fault, response: Response, nonce: str) -> None:
        """Count one answer."""
        outcome, skipped = outcome_of(response), _is_skipped(response)
        self.drawn[fault.name] += 1
        self.skipped[fault.name] += skipped
        self.outcomes[_SKIPPED if skipped else outcome] += 1
        found = _failures(fault, response, outcome, nonce)
        self.wrong.update(found)
        if found:
            kind = "stream" if response.stream else "whole"
            self.unexpected[
                f"{fault.name} {response.dialect} {kind}: {response.status} {outcome}"
            ] += 1

    def check(self, requests: int, *, tracebacks: int) -> Check:
        """The verdict, with the oddest answers."""
        never_met = [
            name
            for name, count in self.drawn.items()
            if count == self.skipped[name] and count >= _OFTEN
        ]
        self.wrong.update({"tracebacks": tracebacks, "faults never met": len(never_met)})
        self.unexpected.update({f"{name} never met": self.drawn[name] for name in never_met})
        figures: dict[str, Any] = {
            name: self.outcomes[name] for name in (*Outcome, _SKIPPED) if self.outcomes[name]
        }
        worst = ", ".join(f"{name} {number}" for name, number in self.unexpected.most_common(5))
        check = check_of("faulty streams", dict(self.wrong), requests=requests, **figures)
        return replace(check, detail=worst)


def _failures(fault: Fault, response: Response, outcome: Outcome, nonce: str) -> Sequence[str]:
    """What is wrong with this answer, as names of ``_COUNTS``."""
    documented = fault.stream if response.stream else fault.whole
    # There is always another provider here.
    documented = Outcome.NEXT if documented == Outcome.PROVIDER else documented
    is_documented = outcome == documented or _is_skipped(response)
    found = [] if is_documented else ["other outcome than documented"]
    if response.status >= 500:
        found.append("5xx")
    if outcome == Outcome.TRUNCATED:
        found.append("silent truncations")
    if outcome in (Outcome.ANSWER, Outcome.NEXT):
        text = ""
        with suppress(ValueError, LookupError, TypeError):
            text = text_of(response)
        if len(tokens_of(text)) != _TOKENS:
            found.append("silent truncations")
        elif f"answers {nonce}:" not in text:
            found.append("answers of another request")
    return found


def _is_skipped(response: Response) -> bool:
    """Whether the faulty model was skipped: after a failure it gets one call at a time."""
    headers = response.headers
    return headers.get("x-turnout-model") == _SPARE and headers.get("x-turnout-attempts") == "1"


def _intent_of(fault: Fault) -> str:
    return f"i{FAULTS.index(fault)}"


def _config(
    upstream: FaultyUpstream, proxies: Mapping[str, FaultProxy], *, spare: bool
) -> dict[str, Any]:
    """A configuration whose intents are the faults; no model cools down, so that each is asked."""
    price = {"input": 1, "output": 2}
    direct = {"base_url": upstream.base_url, "api_key": "k3y"}
    faults_by_provider = {
        f"p{FAULTS.index(fault)}": fault for fault in FAULTS if fault.name in proxies
    }
    models = {
        f"m{index}": {
            "model": fault.script if fault.script != "honest" else f"acme/{index}",
            "provider": f"p{index}" if fault.name in proxies else "acme",
            "price": price,
        }
        for index, fault in enumerate(FAULTS)
    }
    return {
        "providers": {
            "acme": direct,
            "spare": {**direct, "api_key": "k3y-2"},
            **{
                name: {**direct, "base_url": proxies[fault.name].base_url}
                for name, fault in faults_by_provider.items()
            },
        },
        "models": {**models, "spare": {"model": _SPARE, "provider": "spare", "price": price}},
        "intents": {f"i{index}": f"m{index}" for index in range(len(FAULTS))},
        "default": "spare",
        "fallbacks": {name: ["spare"] if spare else [] for name in models},
        "timeouts": {"connect_s": 5, "first_token_s": 5, "inter_token_s": 5, "total_s": 8},
        "retries": {"retries": 0},
        "health": ALWAYS_ASKED,
    }

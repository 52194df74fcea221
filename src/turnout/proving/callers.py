"""Callers who stream from a gateway while something happens to it, and what they saw.

Invariant: an answer counts only with the dialect's own end mark and the nonce that was asked for.
"""

import asyncio
from collections import Counter
from typing import Any

from turnout.testing import FaultyUpstream
from turnout.testing.caller import ask, body_of
from turnout.testing.faults import Outcome
from turnout.testing.outcomes import outcome_of, text_of

TIMEOUT_S = 90.0
_FAILED = "failed"
_CUT = "cut"
_OTHER = "answers of another request"
_SLOW = "f-drip150ms"


class Callers:
    """``count`` callers who stream one answer after another until they are told to stop.

    ``failures`` counts what went wrong, ``reasons`` says how it looked.
    """

    def __init__(self, port: int, count: int, model: str) -> None:
        self.port, self.model = port, model
        self.failures: Counter[str] = Counter({_FAILED: 0, _CUT: 0, _OTHER: 0})
        self.answered = 0
        self.reasons: Counter[str] = Counter()
        self._stopped = False
        self._tasks = [asyncio.create_task(self._call(number)) for number in range(count)]

    async def stop(self) -> None:
        """Lets all callers finish."""
        self._stopped = True
        await asyncio.gather(*self._tasks)

    async def _call(self, caller: int) -> None:
        number = 0
        await asyncio.sleep(caller * 0.02)
        while not self._stopped:
            number += 1
            nonce = f"c{caller}x{number}"
            body = body_of("chat", self.model, f"Say something. nonce: {nonce}", stream=True)
            response = await ask(self.port, "chat", body, timeout_s=TIMEOUT_S)
            outcome = outcome_of(response)
            if outcome == Outcome.ANSWER and f"answers {nonce}:" in text_of(response):
                self.answered += 1
                continue
            cut = response.status == 200 and outcome in (Outcome.TRUNCATED, Outcome.ERROR_EVENT)
            self.failures[_CUT if cut else _OTHER if response.status == 200 else _FAILED] += 1
            self.reasons[f"{response.status} {outcome} {response.body[-120:]!r}"] += 1


def settings(upstream: FaultyUpstream) -> dict[str, Any]:
    """A configuration with a model that answers at once and one that takes its time."""
    price = {"input": 1, "output": 2}
    return {
        "providers": {"acme": {"base_url": upstream.base_url, "api_key": "k3y"}},
        "provider": "acme",
        "models": {
            "fast": {"model": "acme/fast", "price": price},
            "slow": {"model": _SLOW, "price": price},
        },
        "intents": {"simple_qa": "fast"},
        "default": "fast",
        "timeouts": {"connect_s": 30, "first_token_s": 60, "inter_token_s": 60, "total_s": 120},
        "retries": {"retries": 0},
    }

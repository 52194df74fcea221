"""The walk through a plan: a generator that yields the next attempt and is sent its outcome.

Invariant: the walk takes only the decision's routes, and ends once part of an answer was released.
This module does not know clocks: a wait is yielded as a number of seconds for the shell to wait.
"""

from collections.abc import Collection, Generator
from dataclasses import dataclass

from msgspec import Struct

from turnout.core import Decision, Fault, Outcome, Route
from turnout.policies import draw


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRules:
    """How often a route is tried again, and after how long.

    ``retries`` is the number of further tries of one route after a transient fault. Waits start at
    ``base_s``, double up to ``cap_s`` and are drawn with full jitter; a provider's ``Retry-After``
    of at most ``longest_wait_s`` is used in their place.
    """

    retries: int = 1
    base_s: float = 0.5
    cap_s: float = 8.0
    longest_wait_s: float = 20.0


class Attempt(Struct, frozen=True):
    """Call ``route`` after waiting ``delay_s`` seconds; ``ordinal`` counts attempts from 0."""

    route: Route
    ordinal: int
    delay_s: float = 0.0


def attempts(
    decision: Decision, rules: RetryRules, closed: Collection[str] = ()
) -> Generator[Attempt, Outcome, tuple[Outcome, ...]]:
    """Walks the decision's routes until one answers, the answer has begun, or none is left.

    ``closed`` are deployments that may not be called; the shell may add to it on the way. Returns
    every outcome in order; the last one tells how the walk ended.
    """
    outcomes: list[Outcome] = []
    dead_providers: set[str] = set()
    spent_quotas: set[str] = set()
    rejected_models: set[str] = set()

    def may_try(route: Route) -> bool:
        return not (
            route.provider in dead_providers
            or _quota(route) in spent_quotas
            # Another deployment of a rejected model would draft the same.
            or route.model in rejected_models
            or route.deployment in closed
        )

    for place, route in enumerate(decision.routes):
        if not may_try(route):
            continue
        delay_s = 0.0
        for retry in range(rules.retries + 1):
            outcome = yield Attempt(route=route, ordinal=len(outcomes), delay_s=delay_s)
            outcomes.append(outcome)
            if _is_final(outcome):
                return tuple(outcomes)
            fault = outcome.error
            if fault is not None and fault.scope == "provider":
                dead_providers.add(route.provider)
            if fault is not None and fault.kind == "rejected":
                rejected_models.add(route.model)
            if fault is not None and fault.kind == "rate_limited":
                spent_quotas.add(_quota(route))
            others = any(map(may_try, decision.routes[place + 1 :]))
            wait_s = _wait(decision, fault, rules, retry, others=others)
            if wait_s is None or route.deployment in closed:
                break
            delay_s = wait_s
    return tuple(outcomes)


def _quota(route: Route) -> str:
    """What shares a rate limit: the configured quota, else the model at its provider."""
    return route.quota or f"{route.provider}/{route.model}"


def _is_final(outcome: Outcome) -> bool:
    if outcome.status != "failed" or outcome.released:
        return True
    return outcome.error is not None and outcome.error.scope == "request"


def _wait(
    decision: Decision, fault: Fault | None, rules: RetryRules, retry: int, *, others: bool
) -> float | None:
    """Seconds to wait before the same route is tried again, or None to go on to the next."""
    if fault is None or fault.retry == "no":
        return None
    if fault.retry == "rate_limit" and others:
        return None
    if fault.retry_after_s is not None:
        return fault.retry_after_s if fault.retry_after_s <= rules.longest_wait_s else None
    ceiling = min(rules.cap_s, rules.base_s * (1 << retry))
    return ceiling * draw(decision.request_id, f"retry {retry}")

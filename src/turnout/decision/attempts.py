"""The walk through a plan: a generator that yields the next attempt and is sent its outcome.

Invariant: the walk takes only the decision's routes, and ends once part of an answer was released.
This module does not know clocks: an attempt says how many seconds its caller waits before it.
"""

from collections.abc import Collection, Generator
from dataclasses import dataclass

from msgspec import Struct

from turnout.core import Decision, Fault, Outcome, Route
from turnout.policies import draw


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRules:
    """How often a route is tried again, and after how long.

    ``retries`` is the number of retries at one route after a transient fault. Waits are random,
    from 0 to ``base_s``, which doubles with each retry up to ``cap_s``; a ``Retry-After`` of the
    provider of at most ``longest_wait_s`` replaces them.
    """

    retries: int = 1
    base_s: float = 0.5
    cap_s: float = 8.0
    longest_wait_s: float = 20.0


# A part of a route that others share, and its name.
Part = tuple[str, str]
# The part that a kind of fault is about.
_PART_OF = {"rejected": "model", "rate_limited": "quota"}


class Attempt(Struct, frozen=True):
    """Call ``route`` after waiting ``delay_s`` seconds; ``ordinal`` counts attempts from 0."""

    route: Route
    ordinal: int
    delay_s: float = 0.0


def attempts(
    decision: Decision, rules: RetryRules, closed: Collection[str] = ()
) -> Generator[Attempt, Outcome, tuple[Outcome, ...]]:
    """Walks the decision's routes until one answers, an answer has begun, or none is left.

    ``closed`` are deployments that may not be called; the caller may add to it during the walk.
    Returns all outcomes in order.
    """
    outcomes: list[Outcome] = []
    failed: set[Part] = set()

    def may_call(route: Route) -> bool:
        return route.deployment not in closed and (
            not failed or failed.isdisjoint(_parts(route).items())
        )

    for place, route in enumerate(decision.routes):
        delay_s: float | None = 0.0 if may_call(route) else None
        for retry in range(rules.retries + 1):
            if delay_s is None or route.deployment in closed:
                break
            outcome = yield Attempt(route=route, ordinal=len(outcomes), delay_s=delay_s)
            outcomes.append(outcome)
            if _is_final(outcome):
                return tuple(outcomes)
            fault = outcome.error
            if fault is None:
                break
            failed |= _failed_parts(fault, route)
            others = any(map(may_call, decision.routes[place + 1 :]))
            delay_s = _retry_wait_s(decision, fault, rules, retry, others=others)
    return tuple(outcomes)


def _parts(route: Route) -> dict[str, str]:
    """What a route shares with others: the provider, the model, and the rate limit."""
    quota = route.quota or f"{route.provider}/{route.model}"
    return {"provider": route.provider, "model": route.model, "quota": quota}


def _failed_parts(fault: Fault, route: Route) -> set[Part]:
    """The parts of the route that fail other routes as well.

    Another deployment of a rejected model would write the same draft.
    """
    failed = {fault.scope, _PART_OF.get(fault.kind)}
    return {(part, name) for part, name in _parts(route).items() if part in failed}


def _is_final(outcome: Outcome) -> bool:
    if outcome.status != "failed" or outcome.released:
        return True
    return outcome.error is not None and outcome.error.scope == "request"


def _retry_wait_s(
    decision: Decision, fault: Fault, rules: RetryRules, retry: int, *, others: bool
) -> float | None:
    """Seconds to wait before the same route is tried again, or None to go on to the next."""
    if fault.retry == "no" or (fault.retry == "rate_limit" and others):
        return None
    if fault.retry_after_s is not None:
        return fault.retry_after_s if fault.retry_after_s <= rules.longest_wait_s else None
    ceiling = min(rules.cap_s, rules.base_s * (1 << retry))
    return ceiling * draw(decision.request_id, f"retry {retry}")

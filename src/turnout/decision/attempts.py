"""The walk through a plan: what is tried next, after what the attempts so far came to.

Invariant: the walk takes only the decision's routes, and ends once part of an answer was released.
This module does not know clocks: an attempt says how many seconds its caller waits before it.
"""

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
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


def next_attempt(
    decision: Decision,
    rules: RetryRules,
    outcomes: Sequence[Outcome] = (),
    closed: Collection[str] = (),
) -> Attempt | None:
    """The attempt after these ``outcomes``, which are all so far; None at the walk's end.

    ``closed`` are deployments that may not be called.
    """
    if not outcomes:
        route = _callable(decision.routes, frozenset(), closed)
        return None if route is None else Attempt(route, 0)
    last = outcomes[-1]
    if _is_final(last):
        return None
    failed = {part for o in outcomes if o.error for part in _failed_parts(o.error, o.route)}
    route = _callable(decision.routes[last.route.ordinal + 1 :], failed, closed)
    if last.route.deployment not in closed:
        wait_s = _retry_wait_s(decision, rules, outcomes, others=route is not None)
        if wait_s is not None:
            return Attempt(last.route, len(outcomes), wait_s)
    return None if route is None else Attempt(route, len(outcomes))


def _callable(
    routes: Sequence[Route], failed: AbstractSet[Part], closed: Collection[str]
) -> Route | None:
    """The first of these routes that may be called."""
    for route in routes:
        shares_a_failure = failed and not failed.isdisjoint(_parts(route).items())
        if not shares_a_failure and route.deployment not in closed:
            return route
    return None


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
    decision: Decision, rules: RetryRules, outcomes: Sequence[Outcome], *, others: bool
) -> float | None:
    """Seconds to wait before the same route is tried again, or None to go on to the next."""
    last, fault = outcomes[-1], outcomes[-1].error
    retry = sum(outcome.route == last.route for outcome in outcomes) - 1
    if fault is None or retry >= rules.retries:
        return None
    if fault.retry == "no" or (fault.retry == "rate_limit" and others):
        return None
    if fault.retry_after_s is not None:
        return fault.retry_after_s if fault.retry_after_s <= rules.longest_wait_s else None
    ceiling = min(rules.cap_s, rules.base_s * (1 << retry))
    return ceiling * draw(decision.request_id, f"retry {retry}")

"""Hard constraints: which deployments can take a request at all, and why the others cannot.

Invariant: a constraint returns None or a reason; the first reason excludes the deployment.
This module does not know policies, clocks or the network.
"""

from collections.abc import Callable, Iterable

from msgspec import Struct

from turnout.catalog import Deployment
from turnout.core import (
    Candidate,
    Constraints,
    Exclusion,
    Features,
    Prediction,
    Request,
    Snapshot,
)
from turnout.decision.bound import answer_room, bound, input_tokens
from turnout.decision.expected import expected

_TEXT = frozenset({"text"})

_NOT_ALLOWED = Exclusion("not_allowed", "not in the request's allow list")
_DENIED = Exclusion("denied", "denied by the request, or by a full budget")
_OVER_LIMIT = Exclusion(
    "over_cost_limit", "costs more than the limit of the request, its intent or its key"
)
_OVER_BUDGET = Exclusion("over_budget", "may cost more than the budget has left")
_OVER_TOKENS = Exclusion("over_budget", "may use more tokens than the budget has left")


class CallFacts(Struct, frozen=True):
    """What a constraint may look at: the request as one deployment would see it.

    ``prompt`` and ``answer`` are its tokens there, the answer's as expected. ``cap`` is the
    caller's own limit on the answer, in tokens; ``cost_pico_usd`` is the expected cost with an
    empty cache, None where it is unknown.
    """

    request: Request
    features: Features
    snapshot: Snapshot
    prompt: int
    answer: int
    cap: int | None
    cost_pico_usd: int | None


Constraint = Callable[[CallFacts, Deployment], Exclusion | None]


def _check_lists(facts: CallFacts, deployment: Deployment) -> Exclusion | None:
    limits, names = facts.request.constraints, deployment.names
    if limits.allow is not None and not names & limits.allow:
        return _NOT_ALLOWED
    return _DENIED if names & limits.deny else None


def _check_window(facts: CallFacts, deployment: Deployment) -> Exclusion | None:
    prompt, window = facts.prompt, deployment.card.context_window
    reserve = facts.cap or facts.answer
    if prompt + reserve <= window or prompt + min(facts.answer, reserve) <= window:
        return None
    # In Anthropic's words and numbers, which its clients read to shorten the conversation.
    if prompt >= window:
        detail = f"prompt is too long: {prompt} tokens > {window} maximum"
    else:
        what = "input length and `max_tokens`" if facts.cap else "prompt and answer"
        detail = f"{what} exceed context limit: {prompt} + {reserve} > {window}"
    return Exclusion("window_exceeded", detail)


def _check_cap(facts: CallFacts, deployment: Deployment) -> Exclusion | None:
    cap, most = facts.cap, answer_room(facts.prompt, deployment.card)
    if cap is None or cap <= most:
        return None
    detail = f"answers at most {most:,} of the {cap:,} tokens asked for"
    return Exclusion("answer_too_short", detail)


def _check_capabilities(facts: CallFacts, deployment: Deployment) -> Exclusion | None:
    reason = deployment.missing_capability(facts.features)
    return None if reason is None else Exclusion("incapable", reason)


def _check_cost(facts: CallFacts, deployment: Deployment) -> Exclusion | None:
    limit, cost = facts.request.constraints.max_cost_pico_usd, facts.cost_pico_usd
    if limit is None:
        return None
    if cost is None:
        why = _why_unpriced(facts.features, deployment)
        return Exclusion("over_cost_limit", f"{why} and the request has a cost limit")
    return _OVER_LIMIT if cost > limit else None


def _check_budget(facts: CallFacts, deployment: Deployment) -> Exclusion | None:
    limits = facts.request.constraints
    most = bound(facts.request, facts.features, deployment)
    if limits.most_tokens is not None and most.tokens > limits.most_tokens:
        return _OVER_TOKENS
    if limits.most_pico_usd is None:
        return None
    if most.cost_pico_usd is None:
        why = _why_unpriced(facts.features, deployment)
        return Exclusion("over_budget", f"{why} and the request has a budget")
    over = most.cost_pico_usd > limits.most_pico_usd
    return _OVER_BUDGET if over else None


def _why_unpriced(features: Features, deployment: Deployment) -> str:
    if name := deployment.unlisted_field(features):
        return f"its price is unknown, as price lists have none with this {name},"
    if features.searches is None and deployment.bills_searches:
        return "its price is unknown, as web_search has no max_uses,"
    return "its price is unknown"


def _check_latency(facts: CallFacts, deployment: Deployment) -> Exclusion | None:
    limit = facts.request.constraints.max_latency_ms
    latency = facts.snapshot.latency_ms.get(deployment.id)
    if limit is not None and latency is not None and latency > limit:
        return Exclusion("too_slow", f"takes {latency:.0f} ms of the {limit:.0f} ms allowed")
    return None


def _check_available(facts: CallFacts, deployment: Deployment) -> Exclusion | None:
    return facts.snapshot.unavailable.get(deployment.id)


def candidates(
    request: Request,
    features: Features,
    prediction: Prediction,
    deployments: Iterable[Deployment],
    snapshot: Snapshot,
) -> list[Candidate]:
    """Every deployment as a candidate, excluded by the first constraint that it fails, if any."""
    written, usual, cap = features.written, features.output_tokens, request.max_output_tokens
    constraints = _constraints_for(request.constraints, features, snapshot, cap)
    success, latency_ms, answers = prediction.success, snapshot.latency_ms, request.choices
    cached = snapshot.cached_tokens
    warmest = max(cached.values()) if cached else 0
    found = []
    for deployment in deployments:
        card, ident = deployment.card, deployment.id
        model = card.id
        prompt, answer = input_tokens(features, deployment), written.get(model, usual)
        priced = expected(
            deployment, features, prompt, answer * answers, cached.get(ident), warmest
        )
        facts = CallFacts(request, features, snapshot, prompt, answer, cap, priced.cold)
        excluded = None
        for constraint in constraints:
            excluded = constraint(facts, deployment)
            if excluded is not None:
                break
        candidate = Candidate(
            ident,
            model,
            priced.cost,
            success.get(model, card.quality),
            latency_ms.get(ident),
            excluded=excluded,
            cache_read_tokens=priced.read,
            cache_write_tokens=priced.written,
            cold_pico_usd=priced.cold if priced.read else None,
            ranked_pico_usd=priced.ranked,
        )
        found.append(candidate)
    return found


def _constraints_for(
    limits: Constraints, features: Features, snapshot: Snapshot, cap: int | None
) -> list[Constraint]:
    """The constraints that this request could fail, in order; for most, only the window's."""
    constraints: list[Constraint] = []
    if limits.allow is not None or limits.deny:
        constraints.append(_check_lists)
    constraints.append(_check_window)
    needs = features.needs_tools or features.needs_json or features.hosted
    if features.modalities != _TEXT or needs:
        constraints.append(_check_capabilities)
    if limits.max_cost_pico_usd is not None:
        constraints.append(_check_cost)
    if limits.most_pico_usd is not None or limits.most_tokens is not None:
        constraints.append(_check_budget)
    if limits.max_latency_ms is not None:
        constraints.append(_check_latency)
    if snapshot.unavailable:
        constraints.append(_check_available)
    if cap is not None:
        constraints.append(_check_cap)  # the last: such a deployment is asked if there is no other
    return constraints

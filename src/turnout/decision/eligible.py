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
from turnout.decision.bound import bound, choices, input_tokens
from turnout.decision.expected import expected

_TEXT = frozenset({"text"})

_NOT_ALLOWED = Exclusion("not_allowed", "not in the request's allow list")
_DENIED = Exclusion("denied", "denied by the request, or by a full budget")
_OVER_LIMIT = Exclusion("over_cost_limit", "costs more than the request's limit")
_LIMIT_UNPRICED = Exclusion(
    "over_cost_limit", "its price is unknown and the request has a cost limit"
)
_OVER_BUDGET = Exclusion("over_budget", "may cost more than the budget has left")
_OVER_TOKENS = Exclusion("over_budget", "may use more tokens than the budget has left")
_BUDGET_UNPRICED = Exclusion("over_budget", "its price is unknown and the request has a budget")
_ENDLESS = "its price is unknown, as web_search has no max_uses, and the request has a"
_LIMIT_ENDLESS = Exclusion("over_cost_limit", f"{_ENDLESS} cost limit")
_BUDGET_ENDLESS = Exclusion("over_budget", f"{_ENDLESS} budget")


class Asked(Struct, frozen=True):
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


Constraint = Callable[[Asked, Deployment], Exclusion | None]


def _allowed(asked: Asked, deployment: Deployment) -> Exclusion | None:
    limits = asked.request.constraints
    if limits.allow is None and not limits.deny:
        return None
    names = deployment.names
    if limits.allow is not None and not names & limits.allow:
        return _NOT_ALLOWED
    return _DENIED if names & limits.deny else None


def _fits(asked: Asked, deployment: Deployment) -> Exclusion | None:
    prompt, window = asked.prompt, deployment.card.context_window
    reserve = asked.cap or asked.answer
    if prompt + reserve <= window:
        return None
    # In Anthropic's words and numbers, which its clients read to shorten the conversation.
    if prompt >= window:
        detail = f"prompt is too long: {prompt} tokens > {window} maximum"
    else:
        what = "input length and `max_tokens`" if asked.cap else "prompt and answer"
        detail = f"{what} exceed context limit: {prompt} + {reserve} > {window}"
    return Exclusion("window_exceeded", detail)


def _long_enough(asked: Asked, deployment: Deployment) -> Exclusion | None:
    cap, most = asked.cap, deployment.card.max_output
    if cap is None or most is None or cap <= most:
        return None
    detail = f"answers at most {most:,} of the {cap:,} tokens asked for"
    return Exclusion("answer_too_short", detail)


def _capable(asked: Asked, deployment: Deployment) -> Exclusion | None:
    lack = deployment.lacks(asked.features)
    return None if lack is None else Exclusion("incapable", lack)


def _affordable(asked: Asked, deployment: Deployment) -> Exclusion | None:
    limit, cost = asked.request.constraints.max_cost_pico_usd, asked.cost_pico_usd
    if limit is None:
        return None
    if cost is None:
        return _LIMIT_ENDLESS if _is_endless(asked, deployment) else _LIMIT_UNPRICED
    return _OVER_LIMIT if cost > limit else None


def _within(asked: Asked, deployment: Deployment) -> Exclusion | None:
    limits = asked.request.constraints
    if limits.most_pico_usd is None and limits.most_tokens is None:
        return None
    most = bound(asked.request, asked.features, deployment)
    if limits.most_tokens is not None and most.tokens > limits.most_tokens:
        return _OVER_TOKENS
    if limits.most_pico_usd is None:
        return None
    if most.cost_pico_usd is None:
        return _BUDGET_ENDLESS if _is_endless(asked, deployment) else _BUDGET_UNPRICED
    dear = most.cost_pico_usd > limits.most_pico_usd
    return _OVER_BUDGET if dear else None


def _is_endless(asked: Asked, deployment: Deployment) -> bool:
    return asked.features.searches is None and deployment.may_search(asked.features)


def _quick(asked: Asked, deployment: Deployment) -> Exclusion | None:
    limit = asked.request.constraints.max_latency_ms
    latency = asked.snapshot.latency_ms.get(deployment.id)
    if limit is not None and latency is not None and latency > limit:
        return Exclusion("too_slow", f"takes {latency:.0f} ms of the {limit:.0f} ms allowed")
    return None


def _available(asked: Asked, deployment: Deployment) -> Exclusion | None:
    return asked.snapshot.unavailable.get(deployment.id)


def candidates(
    request: Request,
    features: Features,
    prediction: Prediction,
    deployments: Iterable[Deployment],
    snapshot: Snapshot,
) -> list[Candidate]:
    """Every deployment as a candidate, excluded by the first constraint that it fails, if any."""
    written, usual, cap = features.written, features.output_tokens, request.max_output_tokens
    checks = _binding(request.constraints, features, snapshot, cap)
    success, latency_ms, answers = prediction.success, snapshot.latency_ms, choices(request)
    cached = snapshot.cached_tokens
    warmest = max(cached.values(), default=0) if cached else 0
    found = []
    for deployment in deployments:
        card, ident = deployment.card, deployment.id
        model = card.id
        prompt, answer = input_tokens(features, deployment), written.get(model, usual)
        priced = expected(
            deployment, features, prompt, answer * answers, cached.get(ident), warmest
        )
        asked = Asked(request, features, snapshot, prompt, answer, cap, priced.cold)
        candidate = Candidate(
            ident,
            model,
            priced.cost,
            success.get(model, card.quality),
            latency_ms.get(ident),
            excluded=_excluded(checks, asked, deployment),
            cache_read_tokens=priced.read,
            cache_write_tokens=priced.written,
            cold_pico_usd=priced.cold if priced.read else None,
            ranked_pico_usd=priced.ranked,
        )
        found.append(candidate)
    return found


def _excluded(
    checks: Iterable[Constraint], asked: Asked, deployment: Deployment
) -> Exclusion | None:
    for check in checks:
        reason = check(asked, deployment)
        if reason is not None:
            return reason
    return None


def _binding(
    limits: Constraints, features: Features, snapshot: Snapshot, cap: int | None
) -> list[Constraint]:
    """The constraints that this request could fail, in order; for most, only the window's."""
    binding: list[Constraint] = []
    if limits.allow is not None or limits.deny:
        binding.append(_allowed)
    binding.append(_fits)
    if cap is not None:
        binding.append(_long_enough)
    needs = features.needs_tools or features.needs_json or features.hosted
    if features.modalities != _TEXT or needs:
        binding.append(_capable)
    if limits.max_cost_pico_usd is not None:
        binding.append(_affordable)
    if limits.most_pico_usd is not None or limits.most_tokens is not None:
        binding.append(_within)
    if limits.max_latency_ms is not None:
        binding.append(_quick)
    if snapshot.unavailable:
        binding.append(_available)
    return binding

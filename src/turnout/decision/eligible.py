"""Hard constraints: which deployments can take a request at all, and why the others cannot.

Invariant: a constraint returns None or the reason in words; the first reason excludes.
This module does not know policies, clocks or the network.
"""

import math
from collections.abc import Callable, Iterable, Sequence

from turnout.catalog import Deployment
from turnout.core import Bound, Candidate, Features, Prediction, Request, Snapshot

_MARGIN_SHARE, _MARGIN_TOKENS = 8, 64

Constraint = Callable[[Request, Features, Deployment, Snapshot], str | None]


def input_tokens(features: Features, deployment: Deployment) -> int:
    """The prompt's tokens as the deployment's model counts them, rounded up."""
    card = deployment.card
    counted = features.input_tokens[card.tokenizer]
    return counted if card.token_factor == 1 else math.ceil(counted * card.token_factor)


def expected_cost(features: Features, deployment: Deployment) -> int | None:
    """Expected pico-dollars of one call with a cold cache; None when the price is unknown."""
    if deployment.price is None:
        return None
    prompt = input_tokens(features, deployment)
    return deployment.price.expected_cost(prompt, features.answer_tokens(deployment.card.id))


def bound(request: Request, features: Features, deployment: Deployment) -> Bound:
    """The most that one call can use: what a hold must cover before the first byte goes upstream.

    The answers may be as long as the caller's cap or the model allows. Providers add a few tokens
    of their own to a prompt, so that it is taken a little longer than it was counted.
    """
    counted = input_tokens(features, deployment)
    prompt = counted + counted // _MARGIN_SHARE + _MARGIN_TOKENS
    card = deployment.card
    room = max(0, card.context_window - counted) if card.kind == "chat" else 0
    answer = min(request.max_output_tokens or room, card.max_output or room, room)
    answers = answer * choices(request)
    price = deployment.price
    return Bound(None if price is None else price.most_cost(prompt, answers), prompt + answers)


def choices(request: Request) -> int:
    """How many answers the request asks for."""
    wanted = request.body.get("n")
    return wanted if isinstance(wanted, int) and wanted > 1 else 1


def _allowed(request: Request, _: Features, deployment: Deployment, __: Snapshot) -> str | None:
    limits = request.constraints
    if limits.allow is None and not limits.deny:
        return None
    names = {deployment.id, deployment.model, deployment.group or deployment.id}
    if limits.allow is not None and not names & limits.allow:
        return "not in the request's allow list"
    return "in the request's deny list" if names & limits.deny else None


def _fits(request: Request, features: Features, deployment: Deployment, _: Snapshot) -> str | None:
    prompt, window = input_tokens(features, deployment), deployment.card.context_window
    reserve = request.max_output_tokens or features.answer_tokens(deployment.card.id)
    if prompt + reserve > window:
        return f"{prompt:,} prompt + {reserve:,} answer tokens exceed its window of {window:,}"
    return None


def _long_enough(request: Request, _: Features, deployment: Deployment, __: Snapshot) -> str | None:
    cap, most = request.max_output_tokens, deployment.card.max_output
    if cap is None or most is None or cap <= most:
        return None
    return f"answers at most {most:,} of the {cap:,} tokens asked for"


def _capable(_: Request, features: Features, deployment: Deployment, __: Snapshot) -> str | None:
    missing = features.modalities - deployment.card.modalities
    if missing:
        return f"does not take {', '.join(sorted(missing))}"
    if features.needs_tools and not deployment.card.tools:
        return "does not call tools"
    return "does not promise JSON" if features.needs_json and not deployment.card.json else None


def _affordable(
    request: Request, features: Features, deployment: Deployment, _: Snapshot
) -> str | None:
    limit = request.constraints.max_cost_pico_usd
    if limit is None:
        return None
    cost = expected_cost(features, deployment)
    if cost is None:
        return "its price is unknown and the request has a cost limit"
    return "costs more than the request's limit" if cost > limit else None


def _within(
    request: Request, features: Features, deployment: Deployment, _: Snapshot
) -> str | None:
    limits = request.constraints
    if limits.most_pico_usd is None and limits.most_tokens is None:
        return None
    most = bound(request, features, deployment)
    if limits.most_tokens is not None and most.tokens > limits.most_tokens:
        return "may use more tokens than the budget has left"
    if limits.most_pico_usd is None:
        return None
    if most.cost_pico_usd is None:
        return "its price is unknown and the request has a budget"
    dear = most.cost_pico_usd > limits.most_pico_usd
    return "may cost more than the budget has left" if dear else None


def _quick(request: Request, _: Features, deployment: Deployment, now: Snapshot) -> str | None:
    limit, latency = request.constraints.max_latency_ms, now.latency_ms.get(deployment.id)
    if limit is not None and latency is not None and latency > limit:
        return f"takes {latency:.0f} ms of the {limit:.0f} ms allowed"
    return None


def _available(_: Request, __: Features, deployment: Deployment, now: Snapshot) -> str | None:
    return now.unavailable.get(deployment.id)


CONSTRAINTS: tuple[Constraint, ...] = (
    _allowed,
    _fits,
    _long_enough,
    _capable,
    _affordable,
    _within,
    _quick,
    _available,
)


def candidates(
    request: Request,
    features: Features,
    prediction: Prediction,
    deployments: Iterable[Deployment],
    snapshot: Snapshot,
) -> list[Candidate]:
    """The deployments as this request sees them, each excluded by the first constraint it fails."""
    checks = _binding(request, snapshot)
    success, latency_ms = prediction.success, snapshot.latency_ms
    return [
        Candidate(
            deployment=deployment.id,
            model=(card := deployment.card).id,
            cost_pico_usd=expected_cost(features, deployment),
            quality=success.get(card.id, card.quality),
            latency_ms=latency_ms.get(deployment.id),
            excluded=_first_reason(checks, request, features, deployment, snapshot),
        )
        for deployment in deployments
    ]


def _binding(request: Request, snapshot: Snapshot) -> list[Constraint]:
    """The constraints that can exclude anything at all, in their order: most requests set few."""
    limits = request.constraints
    unset: set[Constraint] = set()
    if limits.allow is None and not limits.deny:
        unset.add(_allowed)
    if request.max_output_tokens is None:
        unset.add(_long_enough)
    if limits.max_cost_pico_usd is None:
        unset.add(_affordable)
    if limits.most_pico_usd is None and limits.most_tokens is None:
        unset.add(_within)
    if limits.max_latency_ms is None:
        unset.add(_quick)
    if not snapshot.unavailable:
        unset.add(_available)
    return [check for check in CONSTRAINTS if check not in unset]


def _first_reason(
    checks: Sequence[Constraint],
    request: Request,
    features: Features,
    deployment: Deployment,
    snapshot: Snapshot,
) -> str | None:
    for check in checks:
        reason = check(request, features, deployment, snapshot)
        if reason is not None:
            return reason
    return None

"""The one place that chooses: a pure function from a request and rules to an explained plan.

Invariant: equal arguments give an equal decision; chance is a hash of the request's id or session.
This module does not know clocks, the network, storage or learned classifiers.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter

from msgspec import structs

from turnout.catalog import Catalog, Deployment
from turnout.core import (
    AUTO,
    UNSAFE,
    Candidate,
    Decision,
    Features,
    InvalidRequest,
    Prediction,
    Request,
    Role,
    Route,
    Snapshot,
)
from turnout.core.hosted import hosted_refusal
from turnout.decision.balance import Balance
from turnout.decision.eligible import candidates
from turnout.decision.knobs import Knobs
from turnout.decision.safety import SafetyRule
from turnout.decision.served import served_intent
from turnout.decision.warm import Rank, rank_noting_caches
from turnout.policies import Fixed, Policy, Score, Situation

_OWN_ID = re.compile(r"r_([0-9a-f]{24})\Z")
_by_value = attrgetter("value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """Everything fixed that a decision depends on; ``bundle`` is its content hash.

    ``policies`` can be named as a request's ``model``; ``intents`` are the configured labels.
    ``balance`` shares load among the deployments of a model, ``knobs`` are the configuration's own
    targets and limits. ``reads_latency`` says that decisions depend on measured latencies.
    """

    catalog: Catalog
    policy: Policy
    safety: SafetyRule
    intents: frozenset[str] = frozenset()
    policies: Mapping[str, Policy] = field(default_factory=dict)
    bundle: str = ""
    balance: Balance | None = None
    knobs: Knobs | None = None
    reads_latency: bool = False


def decide(
    request: Request,
    features: Features,
    prediction: Prediction,
    snapshot: Snapshot,
    rules: Rulebook,
) -> Decision:
    """The plan for ``request``, with every candidate and its reason.

    A request that names models has no other candidate. There are no routes when the request is
    blocked, or when no deployment can take it. Raises InvalidRequest for a model that does not
    exist, and for hosted tools that no candidate could run.
    """
    policy, deployments = _policy_and_deployments(request, rules)
    if features.hosted and not any(deployment.runs_hosted_tools for deployment in deployments):
        raise InvalidRequest(hosted_refusal(features.hosted), field="tools")
    intent, confidence = _served_intent(request, prediction, rules)
    scans = rules.safety.pinned or not is_pinned(request, rules)
    unsafe = rules.safety.verdict(prediction, features) if scans else None
    if rules.knobs is not None:
        request = rules.knobs.constrain(request, intent)
    found = candidates(request, features, prediction, deployments, snapshot)
    situation = Situation(
        request=request,
        features=features,
        prediction=prediction,
        snapshot=snapshot,
        intent=UNSAFE if unsafe else intent,
    )
    blocked = unsafe if rules.safety.block else None
    ranked = () if blocked else _ranked(policy, found, situation, rules.balance)
    return Decision(
        id=decision_id(request, rules),
        request_id=request.id,
        policy=policy.ref,
        intent=situation.intent or "unknown",
        confidence=_block_confidence(prediction) if unsafe else confidence,
        reason=blocked or (ranked[0].reason if ranked else "no model can take this request"),
        features=features,
        prediction=prediction,
        candidates=_with_scores(found, ranked),
        routes=_plan(ranked, rules.catalog),
        snapshot=snapshot,
        bundle=rules.bundle,
        blocked=blocked,
        refusal=rules.safety.refusal if blocked else "",
    )


def _ranked(
    policy: Policy, candidates: Sequence[Candidate], situation: Situation, balance: Balance | None
) -> Sequence[Score]:
    def rank(found: Sequence[Candidate]) -> Sequence[Score]:
        if balance is None:
            scores = policy.rank(found, situation)
        else:
            scores = balance.rank(policy, found, situation)
        return sorted(scores, key=_by_value, reverse=True)

    eligible = [c for c in candidates if not c.excluded]
    warm = situation.snapshot.cached_tokens
    ranked = rank_noting_caches(rank, eligible) if warm else rank(eligible)
    last = [c for c in candidates if c.excluded and c.excluded.comes_last]
    return [*ranked, *_scores_of_last(ranked, rank, last)] if last else ranked


def _scores_of_last(
    ranked: Sequence[Score], rank: Rank, last: Sequence[Candidate]
) -> Iterable[Score]:
    """Scores for candidates that follow all others."""
    reasons = {c.deployment: str(c.excluded) for c in last}
    for score in rank([structs.replace(c, excluded=None) for c in last]):
        reason = reasons[score.deployment]
        if ranked:
            yield structs.replace(score, reason=reason, propensity=0.0)
        else:
            yield structs.replace(score, reason=f"{reason}, and no other is left: {score.reason}")


def decision_id(request: Request, rules: Rulebook) -> str:
    """The id of the decision on ``request``, known before the decision is made.

    It begins with the time in the request's own id, so that decisions sort as their requests do;
    the random digits that follow are masked with the bundle's hash.
    """
    own = _OWN_ID.match(request.id)
    if own is None:
        return "d_" + _digest(f"{request.id}\n{rules.bundle}")
    return f"d_{int(own[1], 16) ^ _mask(rules.bundle):024x}"


@lru_cache(maxsize=64)
def _mask(bundle: str) -> int:
    return int(_digest(bundle)[:12], 16)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def is_pinned(request: Request, rules: Rulebook) -> bool:
    """Whether the request names a model, rather than ``auto``, an intent or a policy."""
    name = request.model
    return not (name == AUTO or name in rules.intents or name in rules.policies)


def _policy_and_deployments(
    request: Request, rules: Rulebook
) -> tuple[Policy, Iterable[Deployment]]:
    """The policy that the request asks for, and the deployments it may choose from."""
    name, catalog = request.model, rules.catalog
    models = request.models
    if models:
        models = tuple([_configured_name(other, "models", catalog) for other in models])
    if is_pinned(request, rules):
        models = (_configured_name(name, "model", catalog), *models)
        policy: Policy = _fixed_policy(models)
    else:
        intended = name == AUTO or name in rules.intents
        policy = rules.policy if intended else rules.policies[name]
    if not models:
        return policy, catalog.deployments.values()
    return policy, [d for model in dict.fromkeys(models) for d in catalog.deployments_of(model)]


def _configured_name(name: str, field: str, catalog: Catalog) -> str:
    """The configured name of the model that the request's field calls ``name``."""
    deployment = catalog.find(name)
    if deployment is None:
        why = _why_not_found(name, field, catalog)
        raise InvalidRequest(f"model {name!r} {why}", field=field)
    return deployment.configured_name


def _why_not_found(name: str, field: str, catalog: Catalog) -> str:
    """Why no model with this name can answer, and what to put into the request's field."""
    other = Catalog(deployments=catalog.others).find(name)
    if other is not None:
        return f"is for {other.card.kind}, not for answers; call it at /v1/embeddings"
    near = catalog.nearest(name)
    hint = f"did you mean {near!r}? " if near else ""
    use = f"use {AUTO!r} to let the router choose" if field == "model" else "name models alone"
    return f"is not configured; {hint}{use}"


@lru_cache(maxsize=1024)
def _fixed_policy(models: tuple[str, ...]) -> Fixed:
    return Fixed(deployment=models[0], fallbacks=models[1:])


def _served_intent(
    request: Request, prediction: Prediction, rules: Rulebook
) -> tuple[str | None, float]:
    """The label that the caller named, else the predicted one."""
    if request.model in rules.intents:
        return request.model, 1.0
    return served_intent(prediction, rules.intents)


def _block_confidence(prediction: Prediction) -> float:
    if prediction.label == UNSAFE or prediction.unsafe is None:
        return 1.0
    return prediction.unsafe


def _with_scores(candidates: Sequence[Candidate], scores: Sequence[Score]) -> tuple[Candidate, ...]:
    by_id = {score.deployment: score for score in scores}
    found = []
    for candidate in candidates:
        score = by_id.get(candidate.deployment)
        found.append(
            candidate
            if score is None
            else structs.replace(
                candidate,
                score=score.value,
                propensity=score.propensity,
                reason=score.reason,
                excluded=None,
            )
        )
    return tuple(found)


def _plan(ranked: Sequence[Score], catalog: Catalog) -> tuple[Route, ...]:
    routes, deployments = [], catalog.deployments
    for ordinal, score in enumerate(ranked):
        to = deployments[score.deployment]
        role: Role = "draft" if score.draft else "fallback" if ordinal else "primary"
        routes.append(Route(to.id, to.card.id, to.provider.name, role, ordinal, to.quota))
    return tuple(routes)

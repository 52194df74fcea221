"""Shares a model's load among its deployments: a policy ranks models, this their deployments.

Invariant: pure; chance is a hash of the request's session, or of its id without a session. Calls
under way and the state of prompt caches come in with the snapshot. Deployments of one model stay
together in a ranking, and a conversation stays where its prompt is cached.
Sources: least requests over weights as in Envoy's weighted least request; weighted order without
replacement after Efraimidis and Spirakis (2006).
This module does not know clocks, health or the network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import structs

from turnout.core import Candidate
from turnout.policies import Policy, Score, Situation, weighted_draw

SIGNED_BY = "signed_by"

Rule = Literal["least_outstanding", "weighted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A model's deployments with their weights, and the rule by which they share its load."""

    weights: Mapping[str, float]
    rule: Rule = "least_outstanding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """``groups`` by the model's name; ``group_of`` is the name of the model of a deployment."""

    groups: Mapping[str, Group]
    group_of: Mapping[str, str]

    def rank(
        self, policy: Policy, candidates: Sequence[Candidate], situation: Situation
    ) -> list[Score]:
        """The policy's ranking of models, each replaced by its deployments in order."""
        by_model: dict[str, list[Candidate]] = {}
        for candidate in candidates:
            name = self.group_of.get(candidate.deployment, candidate.deployment)
            by_model.setdefault(name, []).append(candidate)
        ordered = {name: self._in_order(name, found, situation) for name, found in by_model.items()}
        models = [structs.replace(found[0], deployment=name) for name, found in ordered.items()]
        scores = sorted(policy.rank(models, situation), key=lambda score: -score.value)
        return [
            each
            for score in scores
            for each in self._deployment_scores(score, ordered[score.deployment])
        ]

    def _in_order(
        self, name: str, candidates: Sequence[Candidate], situation: Situation
    ) -> list[Candidate]:
        group = self.groups.get(name)
        if group is None or len(candidates) == 1:
            return list(candidates)
        request, outstanding = situation.request, situation.snapshot.outstanding
        signed_by, chance = request.tags.get(SIGNED_BY), request.session or request.id

        def sort_key(candidate: Candidate) -> tuple[bool, int, float, float]:
            ident, weight = candidate.deployment, group.weights[candidate.deployment]
            load = outstanding.get(ident, 0) / weight if group.rule == "least_outstanding" else 0.0
            # Only the deployment that signed a thought can read it, and only the one that answered
            # the conversation's last turn has the prompt in its cache.
            affinity = (ident != signed_by, -candidate.cache_read_tokens)
            return *affinity, load, weighted_draw(chance, f"deployment {ident}", weight)

        return sorted(candidates, key=sort_key)

    def _deployment_scores(self, score: Score, candidates: Sequence[Candidate]) -> list[Score]:
        """The model's score for each of its deployments.

        The first has the model's propensity, or, if the order was drawn by weight, each has its
        share of it.
        """
        group = self.groups.get(score.deployment)
        if group is None:
            return [score]
        drawn = group.rule == "weighted" and not any(c.cache_read_tokens for c in candidates)
        total = sum(group.weights[c.deployment] for c in candidates)
        found = []
        for place, candidate in enumerate(candidates):
            share = group.weights[candidate.deployment] / total if drawn else float(place == 0)
            found.append(
                structs.replace(
                    score,
                    deployment=candidate.deployment,
                    propensity=score.propensity * share,
                    reason=score.reason
                    if place == 0
                    else f"another deployment of {score.deployment}",
                )
            )
        return found

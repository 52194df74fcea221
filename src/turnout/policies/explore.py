"""Exploration: for a share of the sessions a model is drawn, so that traffic tells about them all.

What only one policy chose says nothing about what others would have chosen. The propensities that
are recorded with each decision allow for the draw (see ``evaluation.off_policy``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import structs

from turnout.core import Candidate, Ref
from turnout.policies.protocol import Policy, Score, Situation, draw, weighted_draw


@dataclass(frozen=True, slots=True, kw_only=True)
class Explore:
    """A ``share`` of the sessions goes to any model that ``below`` ranks, each as often.

    The others follow in the order of ``below``, which chooses for the rest. Requests without a
    session are drawn one by one. Where a model is drawn, nothing is drafted.
    """

    share: float
    below: Policy

    @property
    def ref(self) -> Ref:
        """That of ``below``, with the share."""
        below = self.below.ref
        parts = [below.digest] if below.digest else []
        return structs.replace(below, digest=",".join([*parts, f"explore={self.share:g}"]))

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """As ``below``, or with the drawn model first."""
        scores = self.below.rank(candidates, situation)
        if not scores:
            return scores
        even = self.share / len(scores)
        mixed = [
            structs.replace(s, propensity=(1 - self.share) * s.propensity + even) for s in scores
        ]
        ident = situation.request.session or situation.request.id
        if draw(ident, "explore") >= self.share:
            return mixed
        drawn = min(mixed, key=lambda s: weighted_draw(ident, f"explore {s.deployment}", 1.0))
        first = structs.replace(
            drawn, value=1.0 + max(s.value for s in mixed), reason="drawn to explore"
        )
        order = [first, *[s for s in mixed if s is not drawn]]
        return [structs.replace(s, draft=False) for s in order]

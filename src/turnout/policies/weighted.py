"""A weighted split: each deployment gets its share of the requests at random."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from turnout.core import Candidate, Ref
from turnout.policies.protocol import Score, Situation


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """``weights`` by deployment, not all zero.

    Deployments that cannot take a request leave their share to the others, which are also the
    fallbacks, in the order of their weights.
    """

    weights: Mapping[str, float]

    @property
    def ref(self) -> Ref:
        """``weighted`` and its weights."""
        listed = ",".join(f"{name}={weight:g}" for name, weight in sorted(self.weights.items()))
        return Ref(name="weighted", digest=listed)

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """The drawn candidate first; propensities are the weights' shares."""
        kept = [c for c in candidates if self.weights.get(c.deployment, 0.0) > 0]
        total = sum(self.weights[c.deployment] for c in kept)
        shares = {c.deployment: self.weights[c.deployment] / total for c in kept}
        chosen = _drawn(shares, situation.draw("weighted"))
        return [
            Score(
                deployment=name,
                value=1.0 + (name == chosen) + share,
                propensity=share,
                reason="drawn" if name == chosen else "fallback",
            )
            for name, share in shares.items()
        ]


def _drawn(shares: Mapping[str, float], draw: float) -> str | None:
    below = 0.0
    for name, share in shares.items():
        below += share
        if draw < below:
            return name
    # Rounding can leave the shares a hair below 1.
    return [*shares][-1] if shares else None

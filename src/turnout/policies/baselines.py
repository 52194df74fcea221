"""Policies that use no prediction: fixed, cheapest, strongest, random.

They are the baselines that every other policy is compared with.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from turnout.core import Candidate, Ref
from turnout.policies.protocol import Score, Situation, cost_of, in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """Always one deployment, with no fallbacks but the listed ones."""

    deployment: str
    fallbacks: tuple[str, ...] = ()
    reason: str = "asked for by name"

    @property
    def ref(self) -> Ref:
        """``fixed`` and the deployment's id."""
        return Ref(name="fixed", digest=self.deployment)

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """The deployment, then its fallbacks in the order listed."""
        del situation
        by_id = {candidate.deployment: candidate for candidate in candidates}
        order = (self.deployment, *self.fallbacks)
        kept = [by_id[name] for name in order if name in by_id]
        return in_order(kept, (self.reason, "fallback"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cheapest:
    """The lowest expected cost first; an unknown price comes last."""

    @property
    def ref(self) -> Ref:
        """``cheapest``."""
        return Ref(name="cheapest")

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """All candidates, by rising expected cost."""
        del situation
        return in_order(sorted(candidates, key=cost_of), ("lowest expected cost", "next cheapest"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Strongest:
    """``order`` lists deployment ids from strongest to weakest."""

    order: tuple[str, ...]

    @property
    def ref(self) -> Ref:
        """``strongest`` and the order it uses."""
        return Ref(name="strongest", digest=">".join(self.order))

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """All candidates, strongest first."""
        del situation
        place = {name: index for index, name in enumerate(self.order)}
        ordered = sorted(candidates, key=lambda c: place.get(c.deployment, len(place)))
        return in_order(ordered, ("strongest", "next strongest"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Random:
    """Any candidate with equal probability, decided by the request's lot."""

    @property
    def ref(self) -> Ref:
        """``random``."""
        return Ref(name="random")

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """The candidates, rotated so that the drawn one is first."""
        count = len(candidates)
        first = int(situation.draw("random") * count)
        rotated = [*candidates[first:], *candidates[:first]]
        return [
            Score(
                deployment=c.deployment, value=1.0 / (1 + i), propensity=1.0 / count, reason="drawn"
            )
            for i, c in enumerate(rotated)
        ]

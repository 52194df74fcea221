"""Policies that weigh predicted success: cheapest above a quality, and maximum utility.

Both read a candidate's ``quality`` (P(success), else its prior) and ``cost_pico_usd``; an unknown
quality counts as 0 and an unknown price as the dearest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from turnout.core import Candidate, Ref
from turnout.policies.protocol import Score, Situation, cost_of, in_order

_PICO = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class CheapestAboveQuality:
    """The cheapest candidate whose P(success) is at least a share of the best candidate's.

    With calibrated predictions the mean quality is then at least ``quality`` times that of the best
    single model, whatever the prompts. ``threshold`` is the share after calibration on one's own
    table; None uses ``quality`` as it is. A request's own ``quality`` wins over both.
    """

    quality: float = 0.95
    threshold: float | None = None

    @property
    def ref(self) -> Ref:
        """``cheapest_above_quality`` and its share."""
        digest = f"quality={self.quality:g},threshold={self.threshold}"
        return Ref(name="cheapest_above_quality", digest=digest)

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """Those that meet the share by rising cost, then the others by falling quality."""
        share = situation.request.constraints.quality
        if share is None:
            share = self.quality if self.threshold is None else self.threshold
        needed = share * max(map(quality_of, candidates), default=0.0)
        able = [c for c in candidates if quality_of(c) >= needed]
        others = [c for c in candidates if quality_of(c) < needed]
        able.sort(key=lambda c: (cost_of(c), -quality_of(c)))
        others.sort(key=lambda c: (-quality_of(c), cost_of(c)))
        return in_order(
            [*able, *others], (f"cheapest with P(success) ≥ {needed:.3f}", "next in line")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Utility:
    """The candidate with the most quality minus cost and latency at their prices.

    ``per_usd`` is the quality that a dollar a request is worth, ``per_second`` that of a second.
    """

    per_usd: float = 0.0
    per_second: float = 0.0

    @property
    def ref(self) -> Ref:
        """``utility`` and its prices."""
        return Ref(
            name="utility", digest=f"per_usd={self.per_usd:g},per_second={self.per_second:g}"
        )

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """All candidates by falling utility; one without a price last where dollars count."""
        del situation
        ordered = sorted(candidates, key=lambda c: (-self._utility(c), cost_of(c)))
        return in_order(ordered, ("most useful for its price", "next most useful"))

    def _utility(self, candidate: Candidate) -> float:
        paid = 0.0 if not self.per_usd else self.per_usd * cost_of(candidate) / _PICO
        waited = self.per_second * (candidate.latency_ms or 0.0) / 1000
        return quality_of(candidate) - paid - waited


def quality_of(candidate: Candidate) -> float:
    """P(success); an unknown one counts as 0."""
    return 0.0 if candidate.quality is None else candidate.quality

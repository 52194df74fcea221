"""Policies that weigh predicted success: cheapest above a quality, and maximum utility.

Both read a candidate's ``quality`` (P(success), else its prior) and ``cost_pico_usd``. An unknown
quality counts as 0, an unknown price as higher than any other.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from turnout.core import Candidate, Ref
from turnout.policies.protocol import Score, Situation, cost_of, in_order

_PICO = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class CheapestAboveQuality:
    """The cheapest candidate whose P(success) is at least a share of the best candidate's.

    With calibrated predictions the mean quality is then at least ``quality`` times that of the best
    single model, whatever the prompts. A request's own ``quality`` wins. ``calibrated`` are pairs
    of a quality and the share that was found to keep it on average: of those for at least the
    wanted quality the smallest share is used, and without one the quality itself. ``threshold`` is
    a share to use whatever was calibrated.

    ``steady`` makes the policy careful with prompts that are unlike the training data. ``usual``
    are pairs of a model and its mean quality. A model whose mean is below the share must then
    exceed the share by ``steady`` times the prompt's strangeness; one without a mean counts with
    its prediction. No model passes that would not pass without this, and familiar prompts are
    decided as before.
    """

    quality: float = 0.95
    threshold: float | None = None
    calibrated: tuple[tuple[float, float], ...] = ()
    steady: float = 0.0
    usual: tuple[tuple[str, float], ...] = ()

    @property
    def ref(self) -> Ref:
        """``cheapest_above_quality`` and its shares."""
        digest = f"quality={self.quality:g},threshold={self.threshold}"
        found = ",".join(f"{quality:g}:{share:g}" for quality, share in self.calibrated)
        digest += f",calibrated={found}" if found else ""
        if self.steady:
            means = hashlib.sha256(repr(self.usual).encode()).hexdigest()[:12]
            digest += f",steady={self.steady:g},usual={means}"
        return Ref(name="cheapest_above_quality", digest=digest)

    def share(self, quality_asked: float | None) -> float:
        """The share of the best candidate's P(success) that a candidate needs."""
        if quality_asked is None and self.threshold is not None:
            return self.threshold
        target = self.quality if quality_asked is None else quality_asked
        return min(
            (share for quality, share in self.calibrated if quality >= target), default=target
        )

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """Those that meet the share by rising cost, then the others by falling quality."""
        share = self.share(situation.request.constraints.quality)
        passing, others, needed = split_by_quality(candidates, share)
        doubtful = self._doubtful(candidates, share, situation)
        others += [c for c in passing if c.deployment in doubtful]
        passing = [c for c in passing if c.deployment not in doubtful]
        passing.sort(key=lambda c: (cost_of(c), -quality_of(c)))
        others.sort(key=lambda c: (-quality_of(c), cost_of(c)))
        return in_order(
            [*passing, *others], (f"cheapest with P(success) ≥ {needed:.3f}", "next in line")
        )

    def _doubtful(
        self, candidates: Sequence[Candidate], share: float, situation: Situation
    ) -> frozenset[str]:
        """Those whose mean is below the share, and whose prediction does not clearly exceed it."""
        margin = self.steady * (situation.prediction.strange or 0.0)
        if not margin or not candidates:
            return frozenset()
        means = dict(self.usual)
        usual = {c.deployment: means.get(c.model, quality_of(c)) for c in candidates}
        enough = share * max(usual.values())
        # The best one is never in doubt, since no more than its own P(success) is demanded.
        clear = min(1.0, share + margin) * max(map(quality_of, candidates))
        return frozenset(
            c.deployment
            for c in candidates
            if usual[c.deployment] < enough and quality_of(c) < clear
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Utility:
    """The candidate with the most quality minus cost and latency at their prices.

    ``per_usd`` is how much quality a dollar per request is worth, ``per_second`` how much a second
    is. If the request has a ``quality``, candidates below that share of the best come last.
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
        """All candidates by falling utility; if dollars count, those without a price come last."""
        passing, others, _ = split_by_quality(
            candidates, situation.request.constraints.quality or 0.0
        )
        ordered = [
            *sorted(passing, key=lambda c: (-self._utility(c), cost_of(c), -quality_of(c))),
            *sorted(others, key=lambda c: (-quality_of(c), cost_of(c))),
        ]
        return in_order(ordered, ("most useful for its price", "next most useful"))

    def _utility(self, candidate: Candidate) -> float:
        cost = 0.0 if not self.per_usd else self.per_usd * cost_of(candidate) / _PICO
        wait = self.per_second * (candidate.latency_ms or 0.0) / 1000
        return quality_of(candidate) - cost - wait


def split_by_quality(
    candidates: Sequence[Candidate], share: float
) -> tuple[list[Candidate], list[Candidate], float]:
    """Those with at least ``share`` of the best quality, the others, and the quality needed."""
    needed = share * max(map(quality_of, candidates), default=0.0)
    passing = [c for c in candidates if quality_of(c) >= needed]
    return passing, [c for c in candidates if quality_of(c) < needed], needed


def quality_of(candidate: Candidate) -> float:
    """P(success); an unknown one counts as 0."""
    return 0.0 if candidate.quality is None else candidate.quality

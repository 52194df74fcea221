"""Draft, verify, escalate: cheap candidates first, the best last, then its fallbacks.

The walk escalates when a draft is rejected: a verifier's no is an outcome that failed, like a time
limit. What verifies (another model, a schema, one's own tests, log-probabilities) belongs to the
shell. Sources: Chen et al., FrugalGPT, arXiv 2305.05176; Aggarwal et al., AutoMix, arXiv
2310.12963.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import structs

from turnout.core import Candidate, Ref
from turnout.policies.predicted import quality_of, split
from turnout.policies.protocol import Score, Situation, cost_of, in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """At most ``steps`` candidates, the last the one most likely to succeed.

    A draft is worth its cost when P(it succeeds) is above its share of what the steps above it are
    expected to cost; where none is, a hard request goes straight to the strongest. The last step is
    not verified, and the others follow it as fallbacks. A request's own ``quality`` makes the last
    step the cheapest with that share of the best one's P(success). With ``needs_schema`` only
    requests that ask for JSON or tool calls are drafted: nothing else can be verified by a schema.
    """

    steps: int = 3
    needs_schema: bool = False

    @property
    def ref(self) -> Ref:
        """``cascade``, its length and what it drafts."""
        drafted = ",needs_schema" if self.needs_schema else ""
        return Ref(name="cascade", digest=f"steps={self.steps}{drafted}")

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """The drafts, the candidate most likely to succeed, then the rest by falling quality."""
        by_quality = sorted(candidates, key=lambda c: (-quality_of(c), cost_of(c)))
        limits = situation.request.constraints
        share = limits.quality
        if share is not None:
            able, others, _ = split(by_quality, share)
            by_quality = [*sorted(able, key=cost_of), *others]
        seen = situation.features
        unchecked = self.needs_schema and not (seen.needs_json or seen.needs_tools)
        verified = limits.drafts and not unchecked
        ladder = _ladder(by_quality, self.steps if verified else 1)
        rest = [c for c in by_quality if c not in ladder]
        top = len(ladder) - 1
        alone = _ALONE if verified else _UNVERIFIED
        reasons = (*["draft"] * top, "escalation" if top > 0 else alone, "fallback")
        return [
            structs.replace(score, draft=place < top)
            for place, score in enumerate(in_order([*ladder, *rest], reasons))
        ]


_ALONE = "most likely to succeed, and no draft is worth its cost"
_UNVERIFIED = "most likely to succeed, and no draft could be verified"


def _ladder(by_quality: Sequence[Candidate], steps: int) -> list[Candidate]:
    """The steps in the order they are tried: each draft lowers the expected cost of what follows.

    With V the expected cost of the steps above, a draft makes it cost + (1 - P(success)) x V; the
    draft that makes it lowest is put in front, as long as that saves.
    """
    ladder, left = list(by_quality[:1]), list(by_quality[1:])
    paid = cost_of(ladder[0]) if ladder else 0.0
    while left and len(ladder) < steps:
        best = min(left, key=lambda c: _paid(c, paid))
        if cost_of(best) >= quality_of(best) * paid:
            break
        ladder.insert(0, best)
        left.remove(best)
        paid = _paid(best, paid)
    return ladder


def _paid(draft: Candidate, above: float) -> float:
    # Above an unknown price every draft saves: a large one stands for it.
    return cost_of(draft) + (1.0 - quality_of(draft)) * min(above, _DEAREST)


# A thousand dollars, in pico-dollars.
_DEAREST = 1e15

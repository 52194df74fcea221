"""Draft, verify, escalate: cheap candidates first, the best last, then its fallbacks.

A rejected draft is a failed outcome, as a timeout is, so that the walk goes on to the next step.
The verifier (another model, a schema, a test, log-probabilities) belongs to the shell. Sources:
Chen et al., FrugalGPT, arXiv 2305.05176; Aggarwal et al., AutoMix, arXiv 2310.12963.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import structs

from turnout.core import Candidate, Ref
from turnout.policies.predicted import quality_of, split
from turnout.policies.protocol import Score, Situation, cost_of, in_order

_ALONE = "most likely to succeed, and no draft is worth its cost"
_UNVERIFIED = "most likely to succeed, and no draft could be verified"
# A thousand dollars, in pico-dollars; stands for an unknown price.
_DEAREST = 1e15


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """At most ``steps`` candidates are tried; the last is the one most likely to succeed.

    A draft is worth its cost if that is less than P(success) times the expected cost of the steps
    after it; without such a draft, a request goes straight to the last step. The last step is not
    verified, and all other candidates follow it as fallbacks. If the request has a ``quality``, the
    last step is the cheapest candidate with that share of the best one's P(success).

    Nothing is drafted that could not be verified: with ``needs_schema`` only requests for JSON or
    tool calls are, since a schema can verify nothing else; while ``judge``, the deployment that
    verifies, takes no call, none are; and only ``drafting`` deployments draft, None means all.
    """

    steps: int = 3
    needs_schema: bool = False
    judge: str | None = None
    drafting: frozenset[str] | None = None

    @property
    def ref(self) -> Ref:
        """``cascade``, its length and what it drafts."""
        told = [f"steps={self.steps}"]
        if self.needs_schema:
            told.append("needs_schema")
        if self.judge is not None:
            told.append(f"judge={self.judge}")
        if self.drafting is not None:
            told.append(f"drafting={'+'.join(sorted(self.drafting))}")
        return Ref(name="cascade", digest=",".join(told))

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
        judged = self.judge not in situation.snapshot.unavailable
        verified = limits.drafts and judged and not unchecked
        ladder = _ladder(by_quality, self.steps if verified else 1, self.drafting)
        rest = [c for c in by_quality if c not in ladder]
        top = len(ladder) - 1
        alone = _ALONE if verified else _UNVERIFIED
        reasons = (*["draft"] * top, "escalation" if top > 0 else alone, "fallback")
        return [
            structs.replace(score, draft=place < top)
            for place, score in enumerate(in_order([*ladder, *rest], reasons))
        ]


def _ladder(
    by_quality: Sequence[Candidate], steps: int, drafting: frozenset[str] | None
) -> list[Candidate]:
    """The steps in the order they are tried.

    A draft in front of steps with the expected cost V makes that cost + (1 - P(success)) x V. The
    draft that makes it lowest is put in front, as long as that saves.
    """
    ladder, left = list(by_quality[:1]), list(by_quality[1:])
    if drafting is not None:
        left = [c for c in left if c.deployment in drafting]
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
    return cost_of(draft) + (1.0 - quality_of(draft)) * min(above, _DEAREST)

"""Draft, verify, escalate: cheap candidates first, the best last, then its fallbacks.

A rejected draft is a failed outcome, as a timeout is, so that the walk goes on to the next step.
The verifier (another model, a schema, a test, log-probabilities) belongs to the shell. Sources:
Chen et al., FrugalGPT, arXiv 2305.05176; Aggarwal et al., AutoMix, arXiv 2310.12963.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import structs

from turnout.core import Candidate, Ref
from turnout.policies.predicted import quality_of, split_by_quality
from turnout.policies.protocol import Score, Situation, cost_of, in_order

_NO_DRAFT_PAYS = "most likely to succeed, and no draft is worth its cost"
_NO_DRAFT_VERIFIABLE = "most likely to succeed, and no draft could be verified"
# A thousand dollars, in pico-dollars; stands for an unknown price.
_UNKNOWN_COST = 1e15


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """At most ``steps`` candidates are tried; the last is the one most likely to succeed.

    A draft is worth its cost if that is less than P(success) times the expected cost of the steps
    after it; without such a draft, a request goes straight to the last step. The last step is not
    verified, and all other candidates follow it as fallbacks. If the request has a ``quality``, the
    last step is the cheapest candidate with that share of the best one's P(success).

    Nothing is drafted that could not be verified: with ``needs_schema`` only requests for JSON or
    tool calls are, since a schema can verify nothing else; while ``judge``, the deployment or
    function that verifies, takes no call or judges too late, none are; and only ``drafting``
    deployments draft, None means all.
    """

    steps: int = 3
    needs_schema: bool = False
    judge: str | None = None
    drafting: frozenset[str] | None = None

    @property
    def ref(self) -> Ref:
        """``cascade``, its length and what it drafts."""
        parts = [f"steps={self.steps}"]
        if self.needs_schema:
            parts.append("needs_schema")
        if self.judge is not None:
            parts.append(f"judge={self.judge}")
        if self.drafting is not None:
            parts.append(f"drafting={'+'.join(sorted(self.drafting))}")
        return Ref(name="cascade", digest=",".join(parts))

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """The drafts, the candidate most likely to succeed, then the rest by falling quality."""
        by_quality = sorted(candidates, key=lambda c: (-quality_of(c), cost_of(c)))
        limits = situation.request.constraints
        share = limits.quality
        if share is not None:
            passing, others, _ = split_by_quality(by_quality, share)
            by_quality = [*sorted(passing, key=cost_of), *others]
        features = situation.features
        unverifiable = self.needs_schema and not (features.needs_json or features.needs_tools)
        now = situation.snapshot
        judge_is_up = self.judge not in now.unavailable and self.judge not in now.late_judges
        may_draft = limits.drafts and judge_is_up and not unverifiable
        steps = _ordered_steps(by_quality, self.steps if may_draft else 1, self.drafting)
        rest = [c for c in by_quality if c not in steps]
        last = len(steps) - 1
        alone = _NO_DRAFT_PAYS if may_draft else _NO_DRAFT_VERIFIABLE
        reasons = (*["draft"] * last, "escalation" if last > 0 else alone, "fallback")
        return [
            structs.replace(score, draft=place < last)
            for place, score in enumerate(in_order([*steps, *rest], reasons))
        ]


def _ordered_steps(
    by_quality: Sequence[Candidate], steps: int, drafting: frozenset[str] | None
) -> list[Candidate]:
    """The steps in the order they are tried.

    A draft in front of steps with the expected cost V makes that cost + (1 - P(success)) x V. The
    draft that makes it lowest is put in front, as long as that saves.
    """
    chosen, left = list(by_quality[:1]), list(by_quality[1:])
    if drafting is not None:
        left = [c for c in left if c.deployment in drafting]
    cost = cost_of(chosen[0]) if chosen else 0.0
    while left and len(chosen) < steps:
        best = min(left, key=lambda c: _expected_cost(c, cost))
        if cost_of(best) >= quality_of(best) * cost:
            break
        chosen.insert(0, best)
        left.remove(best)
        cost = _expected_cost(best, cost)
    return chosen


def _expected_cost(draft: Candidate, above: float) -> float:
    return cost_of(draft) + (1.0 - quality_of(draft)) * min(above, _UNKNOWN_COST)

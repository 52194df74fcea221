"""Draft, verify, escalate: cheap candidates first, the best last.

The walk escalates when a draft is rejected: a verifier's no is an outcome that failed, like a time
limit. What verifies (another model, a schema or tests, log-probabilities) belongs to the shell.
Sources: Chen et al., FrugalGPT, arXiv 2305.05176; Aggarwal et al., AutoMix, arXiv 2310.12963.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from turnout.core import Candidate, Ref
from turnout.policies.predicted import quality_of
from turnout.policies.protocol import Score, Situation, cost_of, in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """At most ``steps`` candidates by rising cost, each more likely to succeed than the last.

    A draft is worth its cost when P(it succeeds) is above its share of the next step's cost; one
    that is not is left out, so that a hard request goes straight to a strong model.
    """

    steps: int = 3

    @property
    def ref(self) -> Ref:
        """``cascade`` and its length."""
        return Ref(name="cascade", digest=f"steps={self.steps}")

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """The drafts, then the candidate most likely to succeed."""
        del situation
        ladder: list[Candidate] = []
        for candidate in sorted(candidates, key=lambda c: (-quality_of(c), cost_of(c))):
            if not ladder or self._worth(candidate, ladder[-1]):
                ladder.append(candidate)
            if len(ladder) == self.steps:
                break
        return in_order(ladder[::-1], ("draft", "escalation"))

    def _worth(self, draft: Candidate, above: Candidate) -> bool:
        cost, next_cost = cost_of(draft), cost_of(above)
        return cost < next_cost and quality_of(draft) * next_cost > cost

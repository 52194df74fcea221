"""A label chooses the model; an unknown label chooses the default.

This module does not know how the label was found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from turnout.core import Candidate, Ref
from turnout.policies.protocol import Score, Situation, cost_of, in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentMap:
    """Sends each intent to its deployment, and everything else to ``default``.

    ``fallbacks`` lists what to try after a deployment, by its id. If nothing is listed, the default
    follows, and then the others, cheapest first.
    """

    routes: Mapping[str, str]
    default: str
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    digest: str = ""

    @property
    def ref(self) -> Ref:
        """``intent_map`` and the digest of the map."""
        return Ref(name="intent_map", digest=self.digest)

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """The intent's deployment first, then its fallbacks."""
        target, reason = self._target(situation)
        kept = self._kept(target, candidates)
        if kept and kept[0].deployment != target:
            reason = f"{reason}, which cannot take it: first fallback"
        return in_order(kept, (reason, f"fallback of {target}"))

    def _target(self, situation: Situation) -> tuple[str, str]:
        if situation.intent is None:
            return self.default, f"no label → default {self.default}"
        target = self.routes.get(situation.intent)
        if target is None:
            return self.default, f"{situation.intent} is not mapped → default {self.default}"
        return target, f"{situation.intent} → {target}"

    def _kept(self, target: str, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates that may be tried, in order."""
        listed = self.fallbacks.get(target)
        if listed is not None:
            by_name = {c.deployment: c for c in candidates}
            return [by_name[name] for name in dict.fromkeys((target, *listed)) if name in by_name]

        def place(candidate: Candidate) -> float:
            name = candidate.deployment
            # No cost is below 0.
            if name == target:
                return -2.0
            return -1.0 if name == self.default else cost_of(candidate)

        return sorted(candidates, key=place)

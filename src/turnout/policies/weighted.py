"""A weighted split: each deployment gets its share of the sessions, or of the requests, at random.

Source: weighted order without replacement after Efraimidis and Spirakis (2006).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from turnout.core import Candidate, Ref
from turnout.policies.protocol import Score, Situation, weighted_draw

Split = Literal["session", "request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """``weights`` by deployment, not all zero.

    With ``split`` by ``session`` the requests of a session stay together; those without a session
    are drawn one by one. Deployments that cannot take a request leave their share to the others,
    which are also the fallbacks, in the order drawn; what they had anyway stays theirs.
    """

    weights: Mapping[str, float]
    split: Split = "session"

    @property
    def ref(self) -> Ref:
        """``weighted``, its weights, and what is split unless that is sessions."""
        parts = [f"{name}={weight:g}" for name, weight in sorted(self.weights.items())]
        if self.split != "session":
            parts.append(f"split={self.split}")
        return Ref(name="weighted", digest=",".join(parts))

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """The candidates in the order drawn; propensities are the weights' shares."""
        request = situation.request
        chance = (request.session if self.split == "session" else None) or request.id
        weights = {c.deployment: self.weights.get(c.deployment, 0.0) for c in candidates}
        drawn = sorted(
            (weighted_draw(chance, f"weighted {name}", weight), name)
            for name, weight in weights.items()
            if weight > 0
        )
        total = sum(weights.values())
        return [
            Score(
                deployment=name,
                value=1.0 / (1 + place),
                propensity=weights[name] / total,
                reason="fallback" if place else "drawn",
            )
            for place, (_, name) in enumerate(drawn)
        ]

"""What a policy is: a pure ranking of eligible candidates.

Invariant: a policy scores only what it is given, deterministically; chance is ``draw``, a hash.
This module does not know classifiers' classes, clocks or I/O.
"""

import hashlib
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from turnout.core import Candidate, Features, Prediction, Ref, Request, Snapshot


class Situation(Struct, frozen=True, kw_only=True):
    """What a policy may look at besides the candidates.

    ``intent`` is the label as served, None when it could not be had.
    """

    request: Request
    features: Features
    prediction: Prediction
    snapshot: Snapshot
    intent: str | None

    def draw(self, salt: str) -> float:
        """The request's lot: uniform in [0, 1), the same at every replay."""
        return draw(self.request.id, salt)


def draw(ident: str, salt: str) -> float:
    """A lot for ``ident``: uniform in [0, 1), another one for every salt."""
    digest = hashlib.sha256(f"{ident}\n{salt}".encode()).hexdigest()
    return int(digest[:13], 16) / 16**13


class Score(Struct, frozen=True):
    """One candidate's place: a higher ``value`` is tried earlier.

    ``propensity`` is the probability with which this policy puts the candidate first, given the
    request but not the draw; the propensities of a ranking sum to 1. A ``draft`` is verified before
    it is an answer.
    """

    deployment: str
    value: float
    propensity: float = 0.0
    reason: str = ""
    draft: bool = False


class Policy(Protocol):
    """The rule that chooses."""

    @property
    def ref(self) -> Ref:
        """Name and parameters' digest, enough to create the policy again."""
        ...

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """Scores of the candidates that may be tried; one left out is not a fallback either."""
        ...


def in_order(
    candidates: Sequence[Candidate], reasons: Sequence[str] = ("", "fallback")
) -> list[Score]:
    """Scores that keep the given order: the first is certain, the rest are its fallbacks."""
    last = len(reasons) - 1
    return [
        Score(c.deployment, 1.0 / (1 + place), 0.0 if place else 1.0, reasons[min(place, last)])
        for place, c in enumerate(candidates)
    ]


def cost_of(candidate: Candidate) -> float:
    """Expected cost for ordering; an unknown price counts as dearer than any other.

    What a model would read into its cache for the turns to come is spread over them.
    """
    cost = candidate.cost_pico_usd
    if candidate.ranked_pico_usd is not None:
        cost = candidate.ranked_pico_usd
    return float("inf") if cost is None else float(cost)

"""What a policy is: a pure ranking of eligible candidates.

Invariant: a policy scores only the candidates it is given, deterministically; chance is ``draw``, a
hash.
This module does not know classifiers' classes, clocks or I/O.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from turnout.core import Candidate, Features, Prediction, Ref, Request, Snapshot


class Situation(Struct, frozen=True, kw_only=True):
    """What a policy may look at besides the candidates.

    ``intent`` is the label to route on, None when there is no usable one.
    """

    request: Request
    features: Features
    prediction: Prediction
    snapshot: Snapshot
    intent: str | None

    def draw(self, salt: str) -> float:
        """The request's random number: uniform in [0, 1), the same at every replay."""
        return draw(self.request.id, salt)


def draw(ident: str, salt: str) -> float:
    """A number for ``ident``, uniform in [0, 1), and another one for every ``salt``."""
    digest = hashlib.sha256(f"{ident}\n{salt}".encode()).hexdigest()
    return int(digest[:13], 16) / 16**13


def weighted_draw(ident: str, salt: str, weight: float) -> float:
    """A number to sort by: of several, with a salt each, the lowest is one as often as it weighs.

    Leaving one out changes nothing about the order of the others.
    """
    return -math.log(1.0 - draw(ident, salt)) / weight


class Score(Struct, frozen=True):
    """One candidate's place: a higher ``value`` is tried earlier.

    ``propensity`` is the probability that this policy puts the candidate first, given the request
    but not the draw; the propensities of a ranking sum to 1. A ``draft`` becomes an answer only
    when it is verified.
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
        """The policy's name, and its parameters or a digest of them."""
        ...

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """A score for each candidate that may be tried; one without a score is no fallback."""
        ...


def in_order(
    candidates: Sequence[Candidate], reasons: Sequence[str] = ("", "fallback")
) -> list[Score]:
    """Scores in the given order: the first has propensity 1, the rest are its fallbacks."""
    scores = []
    for place, candidate in enumerate(candidates):
        reason = reasons[place] if place < len(reasons) else reasons[-1]
        scores.append(Score(candidate.deployment, 1.0 / (1 + place), 0.0 if place else 1.0, reason))
    return scores


def cost_of(candidate: Candidate) -> float:
    """The expected cost to rank by, in pico-dollars; infinite where the price is unknown."""
    cost = candidate.cost_pico_usd
    if candidate.ranked_pico_usd is not None:
        cost = candidate.ranked_pico_usd
    return float("inf") if cost is None else float(cost)

"""The feedback that other rules would have had, estimated from requests that were served.

A request tells something about other rules only if they, too, might have sent it where it went. It
counts by the ratio of the two propensities (self-normalised inverse propensity scoring: Swaminathan
and Joachims 2015, "The Self-Normalized Estimator for Counterfactual Learning"). The interval is
that of a ratio (Owen, "Monte Carlo theory, methods and examples", section 9.2) with the two
successes and two failures of Agresti and Coull 1998 ("Approximate is better than exact"). The
effective number of sessions is that of Kong 1992, "A note on importance sampling using standardized
weights".

Invariant: pure; whether a caller gives feedback is assumed not to depend on the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

from turnout.core import Decision

# Below this number no estimate is given: its interval would be too narrow.
FEWEST = 30
_Z_95 = 1.96


class Sample(NamedTuple):
    """One request's feedback, its weight, and its session: requests of one are not independent."""

    value: float
    weight: float
    session: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The mean of a ``metric`` over ``requests`` with feedback, ``then`` and by other rules.

    ``now`` is within ``low`` and ``high`` with 95 % confidence, as if ``effective`` sessions had
    been drawn by the other rules; the three are None if these are too few.
    """

    metric: str
    requests: int
    effective: float
    then: float
    now: float | None
    low: float | None
    high: float | None


def weight(then: Decision, now: Decision | None) -> float:
    """The ratio of the probabilities that the two choose what was chosen ``then``, at first."""
    if now is None or not then.routes or not now.routes:
        return 0.0
    model, drafts = then.routes[0].model, then.routes[0].role == "draft"
    before = _propensity(then, model)
    if not before or drafts != (now.routes[0].role == "draft"):
        return 0.0
    return _propensity(now, model) / before


def estimate(metric: str, samples: Sequence[Sample]) -> Estimate:
    """The estimate from at least one sample."""
    values = [sample.value for sample in samples]
    sessions = _by_session(samples)
    total, squares = sum(w for w, _ in sessions), sum(w * w for w, _ in sessions)
    effective = total * total / squares if squares else 0.0
    now = low = high = None
    if effective >= FEWEST:
        now = sum(value for _, value in sessions) / total
        least, most = min(0.0, *values), max(1.0, *values)
        unit = total / effective
        # Without these four the interval is too narrow where few sessions have most of the weight.
        ends = [(unit, unit * end) for end in (least, least, most, most)]
        middle, half = _ratio([*sessions, *ends])
        low, high = max(least, middle - half), min(most, middle + half)
    return Estimate(
        metric=metric,
        requests=len(values),
        effective=effective,
        then=sum(values) / len(values),
        now=now,
        low=low,
        high=high,
    )


def _by_session(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """For each session the sums of its weights and of its weighted values."""
    found: dict[str, tuple[float, float]] = {}
    for sample in samples:
        weights, values = found.get(sample.session, (0.0, 0.0))
        found[sample.session] = weights + sample.weight, values + sample.weight * sample.value
    return list(found.values())


def _ratio(sessions: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The weighted mean, and half the width of its interval."""
    total = sum(weight for weight, _ in sessions)
    mean = sum(value for _, value in sessions) / total
    spread = sum((value - mean * weight) ** 2 for weight, value in sessions)
    return mean, _Z_95 * sqrt(spread) / total


def _propensity(decision: Decision, model: str) -> float:
    return sum(c.propensity for c in decision.candidates if c.model == model)

"""The feedback that other rules would have had, estimated from requests that were served.

A request tells something about other rules only if they, too, might have sent it where it went. It
counts by the ratio of the two propensities (self-normalised inverse propensity scoring: Swaminathan
and Joachims 2015, "The Self-Normalized Estimator for Counterfactual Learning"). The interval is
that of a ratio (Owen, "Monte Carlo theory, methods and examples", section 9.2) with the two
successes and two failures of Agresti and Coull 1998 ("Approximate is better than exact"). The
effective number of requests is that of Kong 1992, "A note on importance sampling using standardized
weights".

Invariant: pure; whether a caller gives feedback is assumed not to depend on the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from turnout.core import Decision

# Below this number no estimate is given: its interval would be too narrow.
FEWEST = 30
_Z_95 = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The mean of a ``metric`` over ``requests`` with feedback, ``then`` and by other rules.

    ``now`` is within ``low`` and ``high`` with 95 % confidence, as if ``effective`` requests had
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


def estimate(metric: str, values: Sequence[float], weights: Sequence[float]) -> Estimate:
    """The estimate from one request's value and weight each; at least one value."""
    total, squares = sum(weights), sum(w * w for w in weights)
    effective = total * total / squares if squares else 0.0
    now = low = high = None
    if effective >= FEWEST:
        now = _mean(values, weights)
        low, high = _interval(values, weights, unit=total / effective)
    return Estimate(
        metric=metric,
        requests=len(values),
        effective=effective,
        then=sum(values) / len(values),
        now=now,
        low=low,
        high=high,
    )


def _interval(
    values: Sequence[float], weights: Sequence[float], unit: float
) -> tuple[float, float]:
    """With two more values at either end of the scale, of the weight of one effective request.

    Without them the interval is too narrow where few requests have most of the weight.
    """
    least, most = min(0.0, *values), max(1.0, *values)
    values = [*values, least, least, most, most]
    weights = [*weights, *[unit] * 4]
    mean = _mean(values, weights)
    spread = sum((w * (value - mean)) ** 2 for w, value in zip(weights, values, strict=True))
    half = _Z_95 * sqrt(spread) / sum(weights)
    return max(least, mean - half), min(most, mean + half)


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return sum(w * value for w, value in zip(weights, values, strict=True)) / sum(weights)


def _propensity(decision: Decision, model: str) -> float:
    return sum(c.propensity for c in decision.candidates if c.model == model)

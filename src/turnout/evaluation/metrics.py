"""The metrics of routing, each with its source.

Costs are in USD per request, qualities in 0..1. This module does not know predictors, policies or
files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from turnout.core.arrays import Doubles, Ints

_LAMBDAS = np.concatenate([[0.0], np.geomspace(1e-4, 1e7, 240)])
_QUANTILES = 10
KEPT = 0.95
_BINS = 15


def strong_curve(strength: Doubles, weak: Doubles, strong: Doubles) -> tuple[Doubles, Doubles]:
    """Share of calls to the strong model and accuracy, at the decile thresholds of ``strength``.

    A query goes to the strong model when its ``strength`` reaches the threshold. Tied thresholds
    are taken once and both single models close the curve, so that ties neither fail nor shorten
    it. Source: Ong et al., RouteLLM, arXiv 2406.18665, and its evaluation code.
    """
    edges = np.unique(np.quantile(strength, np.linspace(0, 1, _QUANTILES + 1)))
    points = {(0.0, float(weak.mean())), (1.0, float(strong.mean()))}
    for edge in edges:
        goes = strength >= edge
        points.add((float(goes.mean()), float(np.where(goes, strong, weak).mean())))
    shares, accuracies = np.array(sorted(points)).T
    return shares, accuracies


def apgr(strength: Doubles, weak: Doubles, strong: Doubles) -> float:
    """Average performance gap recovered: 0.5 is random, the perfect order can exceed 1.

    NaN where the two models do equally well. Source: RouteLLM, section 3.
    """
    gap = float(strong.mean() - weak.mean())
    if gap == 0:
        return float("nan")
    shares, accuracies = strong_curve(strength, weak, strong)
    return float((np.trapezoid(accuracies, shares) - weak.mean()) / gap)


def cpt(strength: Doubles, weak: Doubles, strong: Doubles, recovered: float) -> float:
    """The smallest share of strong calls that recovers ``recovered`` of the gap.

    The share is interpolated along the curve to its first crossing, because accuracy need not
    rise with every step. NaN where the two models do equally well. Source: RouteLLM, section 3.
    """
    if strong.mean() == weak.mean():
        return float("nan")
    shares, accuracies = strong_curve(strength, weak, strong)
    target = weak.mean() + recovered * (strong.mean() - weak.mean())
    reached = np.flatnonzero(accuracies >= target)
    if not len(reached) or reached[0] == 0:
        return float(shares[0] if len(reached) else np.nan)
    after = int(reached[0])
    rise = accuracies[after] - accuracies[after - 1]
    part = (target - accuracies[after - 1]) / rise
    return float(shares[after - 1] + part * (shares[after] - shares[after - 1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """A non-decreasing concave hull of (cost, quality) points, by rising cost."""

    costs: Doubles
    qualities: Doubles

    def area(self, cheapest: float, dearest: float) -> float:
        """Mean quality over ``[cheapest, dearest]``; flat beyond the ends of the hull."""
        if dearest <= cheapest:
            return float(self.qualities[-1])
        inner = self.costs[(self.costs > cheapest) & (self.costs < dearest)]
        grid = np.concatenate([[cheapest], inner, [dearest]])
        heights = np.interp(grid, self.costs, self.qualities)
        return float(np.trapezoid(heights, grid) / (dearest - cheapest))

    def cost_at(self, quality: float) -> float:
        """The least cost that reaches ``quality``; NaN where the hull stays below it."""
        if self.qualities[-1] < quality:
            return float("nan")
        if self.qualities[0] >= quality:
            return float(self.costs[0])
        return float(np.interp(quality, self.qualities, self.costs))


def frontier(points: Sequence[tuple[float, float]]) -> Frontier:
    """The hull of ``points``: what randomising between two settings can reach.

    Source: Hu et al., RouterBench, arXiv 2403.12031, section 3 (the non-decreasing convex hull).
    """
    rising: list[tuple[float, float]] = []
    for cost, quality in sorted(points, key=lambda p: (p[0], -p[1])):
        if rising and quality <= rising[-1][1]:
            continue
        while len(rising) >= 2 and _is_below_line(rising[-2], rising[-1], (cost, quality)):
            rising.pop()
        rising.append((cost, quality))
    costs, qualities = np.array(rising).T
    return Frontier(costs=costs, qualities=qualities)


def _is_below_line(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])


def singles(score: Doubles, cost: Doubles) -> list[tuple[float, float]]:
    """Mean (cost, quality) of each model used alone."""
    return list(zip(cost.mean(axis=0).tolist(), score.mean(axis=0).tolist(), strict=True))


def best_single(qualities: Doubles, costs: Doubles | None) -> int:
    """The column of the model with the best mean quality; among equals the cheapest known one."""
    known = np.zeros_like(qualities) if costs is None else np.nan_to_num(costs, nan=np.inf)
    return int(np.lexsort((known, -qualities))[0])


def sweep(success: Doubles, score: Doubles, cost: Doubles, mean_cost: Doubles) -> Frontier:
    """The frontier of picking ``argmax success - lambda x mean cost`` over all lambda."""
    rows = np.arange(len(score))
    points = set()
    for weight in _LAMBDAS:
        # The tiny second term makes a tie go to the cheaper model.
        value = success - (weight + 1e-9) * mean_cost
        chosen = value.argmax(axis=1)
        points.add((float(cost[rows, chosen].mean()), float(score[rows, chosen].mean())))
    return frontier(sorted(points))


@dataclass(frozen=True, slots=True, kw_only=True)
class CostQuality:
    """A router's cost-quality figures on a table, and the same without it.

    ``aiq`` and ``zero`` are mean qualities over [cheapest, dearest] single model: of the router's
    sweep, and of mixing single models only. ``saving`` is the share of the best single model's
    cost saved at 95 % of its quality, ``saving_zero`` the same by mixing single models.
    """

    aiq: float
    zero: float
    saving: float
    saving_zero: float

    @property
    def gain(self) -> float:
        """AIQ above the zero router."""
        return self.aiq - self.zero


def cost_quality(success: Doubles, score: Doubles, cost: Doubles) -> CostQuality:
    """AIQ and savings of predictions on a complete table, whose mean costs the router knows."""
    alone = singles(score, cost)
    low, high = min(c for c, _ in alone), max(c for c, _ in alone)
    routed, mixed = sweep(success, score, cost, cost.mean(axis=0)), frontier(alone)
    best = max(quality for _, quality in alone)
    best_cost = min(c for c, quality in alone if quality == best)
    return CostQuality(
        aiq=routed.area(low, high),
        zero=mixed.area(low, high),
        saving=float(saving(routed.cost_at(KEPT * best), best_cost)),
        saving_zero=float(saving(mixed.cost_at(KEPT * best), best_cost)),
    )


def saving(cost: Doubles | float, against: Doubles | float) -> Doubles:
    """The share of ``against`` that ``cost`` saves; unknown (NaN) if ``against`` is zero."""
    against = np.asarray(against, dtype=np.float64)
    return np.asarray(1 - cost / np.where(against > 0, against, np.nan))


def calibration_error(probability: Doubles, outcome: Doubles) -> float:
    """Expected calibration error over 15 equally wide bins; cells without an outcome are left out.

    Source: Naeini et al., AAAI 2015; Guo et al., ICML 2017.
    """
    known = ~np.isnan(outcome) & ~np.isnan(probability)
    p, y = probability[known], outcome[known]
    place = np.minimum((p * _BINS).astype(int), _BINS - 1)
    # A bin's sum of differences is its size times the gap between its means.
    gaps = np.abs(np.bincount(place, weights=p - y))
    return float(gaps.sum() / max(1, len(p)))


def bootstrap(figure: Callable[[Ints], float], rows: int, draws: int = 200) -> tuple[float, float]:
    """The 95 % percentile interval of ``figure`` over resampled rows; NaN where it is not known.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    values = resampled(figure, rows, draws)
    known = values[~np.isnan(values)]
    if not len(known):
        return np.nan, np.nan
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def resampled(figure: Callable[[Ints], float], rows: int, draws: int) -> Doubles:
    """The ``figure`` for each of ``draws`` draws of rows with replacement; the draws are fixed."""
    random = np.random.default_rng(0)
    return np.array([figure(random.integers(0, rows, rows)) for _ in range(draws)])

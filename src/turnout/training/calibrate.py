"""Turns a quality target into a threshold, with a promise that holds at a stated confidence.

Thresholds are tested from the strictest down and the walk stops at the first that fails, so that no
correction for many tests is needed (fixed-sequence testing: Angelopoulos et al., Learn then Test,
arXiv 2110.01052). When not even the strictest passes, the data is too small to promise anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from turnout.core import ConfigError
from turnout.core.arrays import Doubles
from turnout.evaluation import metrics
from turnout.evaluation.outcome_table import OutcomeTable

_GRID = np.round(np.linspace(1.0, 0.0, 201), 3)
_DRAWS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """The margin of the policy's ``steady`` for usually weak models on strange prompts.

    ``means [m]`` are the models' means and ``margins [n]`` each prompt's margin: ``steady`` times
    how strange it is.
    """

    means: Doubles
    margins: Doubles


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """A threshold and its results on the table that it was found on.

    ``quality`` is the mean over the best single model's, ``low`` its lower confidence bound;
    ``lost`` is the share of requests that the best single model would have answered and the
    router's choice did not, ``lost_high`` its upper bound; ``saving`` uses the table's own costs,
    a model's mean for a missing one, and is NaN if a needed price is unknown.
    ``promised`` is False if the data is too small, and then the threshold is the strictest.
    ``rows`` is the number of prompts that were used; with none, nothing is known.
    """

    threshold: float
    quality: float
    low: float
    lost: float
    lost_high: float
    saving: float
    promised: bool
    rows: int


_NO_RESULT = Calibrated(
    threshold=np.nan,
    quality=np.nan,
    low=0.0,
    lost=np.nan,
    lost_high=1.0,
    saving=np.nan,
    promised=False,
    rows=0,
)


def calibrate(
    table: OutcomeTable,
    success: Doubles,
    mean_cost: Mapping[str, float],
    *,
    quality: float = 0.95,
    lost: float | None = None,
    confidence: float = 0.95,
    margin: Margin | None = None,
    seed: int = 0,
) -> Calibrated:
    """The lowest threshold that keeps the mean quality, or loses at most ``lost`` of the requests.

    ``success [n, m]`` and the ``margin``, if any, must be out of sample. A prompt counts if both
    the best single model and the chosen one answered it. Raises ConfigError if a figure is not a
    share.
    """
    for name, value in (("quality", quality), ("lost", lost), ("confidence", confidence)):
        if value is not None and not 0 < value < 1:
            raise ConfigError(f"{name} is {value:g}; use a share between 0 and 1")
    prices = np.array([mean_cost.get(model, np.inf) for model in table.models])
    single = metrics.best_single(np.nanmean(table.score, axis=0), prices)
    answered = ~np.isnan(table.score[:, single])
    score, paid = table.score[answered], _call_costs(table, prices)[answered]
    success = success[answered]
    margin = margin and replace(margin, margins=margin.margins[answered])
    found = result = None
    before = np.empty(0, np.int64)
    for threshold in map(float, _GRID):
        chosen = choose(success, prices, threshold, margin)
        if result is None or not np.array_equal(chosen, before):
            before, result = chosen, _result_of(score, paid, chosen, single, confidence, seed)
        result = replace(result, threshold=threshold)
        holds = result.low >= quality if lost is None else result.lost_high <= lost
        if not holds:
            break
        found = replace(result, promised=True)
    return found or result or _NO_RESULT


def _call_costs(table: OutcomeTable, prices: Doubles) -> Doubles:
    """USD of each call ``[n, m]``: the table's own, else the model's mean; infinite if unknown."""
    cost = np.full(table.score.shape, np.nan) if table.cost_usd is None else table.cost_usd
    return np.where(np.isnan(cost), prices, cost)


def choose(
    success: Doubles, prices: Doubles, threshold: float, margin: Margin | None = None
) -> npt.NDArray[np.int64]:
    """The cheapest model whose P(success) is at least ``threshold`` of the row's best.

    The same rule as the policy's: of two with equal cost the better one, and the usually weak ones
    must exceed the threshold by the ``margin``.
    """
    best = success.max(axis=1, keepdims=True)
    able = success >= threshold * best
    if margin is not None:
        weak = margin.means < threshold * margin.means.max()
        clear = np.minimum(1.0, threshold + margin.margins)[:, None] * best
        able &= ~weak | (success >= clear)
    order = np.lexsort((-success, np.broadcast_to(prices, success.shape)), axis=1)
    first = np.take_along_axis(able, order, axis=1).argmax(axis=1)
    return np.take_along_axis(order, first[:, None], axis=1)[:, 0]


def _rows_with_known_result(
    score: Doubles, chosen: npt.NDArray[np.int64], single: int
) -> npt.NDArray[np.intp]:
    """The rows in which the chosen model answered, so that the choice's result is known.

    The best single model answered all rows. Of those where it is chosen only the same share counts,
    drawn evenly, as of the others; otherwise unknown losses would count as none.
    """
    other = chosen != single
    known = other & ~np.isnan(score[np.arange(len(score)), chosen])
    part = known.sum() / other.sum() if other.any() else 1.0
    place = np.cumsum(~other) * part
    same = ~other & (np.floor(place) > np.floor(place - part))
    return np.flatnonzero(known | same)


def _result_of(
    score: Doubles,
    paid: Doubles,
    chosen: npt.NDArray[np.int64],
    single: int,
    confidence: float,
    seed: int,
) -> Calibrated:
    """The results of the choice, without a threshold yet."""
    known = _rows_with_known_result(score, chosen, single)
    rows, score, paid, chosen = len(known), score[known], paid[known], chosen[known]
    if not rows:
        return _NO_RESULT
    routed, best = score[np.arange(rows), chosen], score[:, single]
    failures = int((routed < best).sum())
    # One more lost request is resampled along: if none was lost yet, resampling would promise that
    # none ever will be. It bounds rare losses as the exact bound on their share does.
    drawn = np.random.default_rng(seed).integers(0, rows + 1, (_DRAWS, rows))
    routed_drawn, best_drawn = np.append(routed, 0.0)[drawn], np.append(best, 1.0)[drawn]
    ratios = routed_drawn.mean(axis=1) / np.maximum(best_drawn.mean(axis=1), 1e-9)
    return Calibrated(
        threshold=np.nan,
        quality=float(routed.mean() / max(best.mean(), 1e-9)),
        low=float(np.quantile(ratios, 1 - confidence)),
        lost=failures / rows,
        lost_high=upper_bound(failures, rows, confidence),
        saving=_saving(paid[np.arange(rows), chosen].mean(), paid[:, single].mean()),
        promised=False,
        rows=rows,
    )


def _saving(*prices: float) -> float:
    """The share that the first saves of the second; NaN if one is infinite, that is unknown."""
    cost, against = (price if np.isfinite(price) else np.nan for price in prices)
    return float(metrics.saving(cost, against))


def upper_bound(failures: int, rows: int, confidence: float) -> float:
    """The exact upper confidence bound of a share (Clopper and Pearson, 1934)."""
    from scipy.stats import beta

    if failures >= rows:
        return 1.0
    return float(beta.ppf(confidence, failures + 1, rows - failures))

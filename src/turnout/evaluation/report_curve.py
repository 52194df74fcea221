"""The value of predictions along the whole curve of cost and quality, with intervals."""

from typing import Any

import numpy as np

from turnout.core import ConfigError
from turnout.core.arrays import Doubles
from turnout.evaluation import baselines, metrics
from turnout.evaluation.outcome_table import OutcomeTable
from turnout.evaluation.report import Curve, Figure
from turnout.evaluation.report_rows import figure_of

_SWEEP_DRAWS = 30
_ERROR_DRAWS = 100


def curve_of(table: OutcomeTable, success: Doubles, pair: tuple[str, str] | None) -> Curve:
    """AIQ, savings, APGR, CPT and calibration of predictions ``success [n, m]``."""
    figures = {"calibration error": _calibration(success, table.score)}
    figures |= _pair_figures(table, success, pair or _weakest_and_best(table))
    try:
        priced = table.priced()
    except ConfigError:
        return Curve(figures=figures)
    if not priced.prompts:
        return Curve(figures=figures)
    columns = [table.models.index(model) for model in priced.models]
    assert priced.cost_usd is not None  # noqa: S101 - narrows the type; priced() saw to it
    place = {key: number for number, key in enumerate(table.ids)}
    predicted = success[[place[key] for key in priced.ids]][:, columns]
    score, cost = priced.score, priced.cost_usd
    figures |= _cost_figures(predicted, score, cost)
    tasks = priced.column("task")
    alone = metrics.singles(score, cost)
    mean_cost = cost.mean(axis=0)
    oracle: tuple[tuple[float, float], ...] = ()
    if any(task is not None for task in tasks):
        known = baselines.task_oracle(score, tasks)
        oracle = _points(metrics.sweep(known, score, cost, mean_cost))
        figures["AIQ of the task oracle"] = _cost_figures(known, score, cost)["AIQ"]
    return Curve(
        figures=figures,
        whole=len(score),
        routed=_points(metrics.sweep(predicted, score, cost, mean_cost)),
        mixed=_points(metrics.frontier(alone)),
        task_oracle=oracle,
        singles=tuple((m, c, q) for m, (c, q) in zip(priced.models, alone, strict=True)),
    )


def _cost_figures(predicted: Doubles, score: Doubles, cost: Doubles) -> dict[str, Figure]:
    drawn = np.random.default_rng(0).integers(0, len(score), (_SWEEP_DRAWS, len(score)))
    every = np.arange(len(score))[None, :]
    all_of = [metrics.cost_quality(predicted[i], score[i], cost[i]) for i in (*every, *drawn)]
    names = {
        "AIQ": "aiq",
        "AIQ of the zero router": "zero",
        "AIQ above zero router": "gain",
        "saving at 95 % of best single": "saving",
        "same, mixing single models": "saving_zero",
    }
    return {
        label: figure_of(np.array([getattr(one, name) for one in all_of]))
        for label, name in names.items()
    }


def _weakest_and_best(table: OutcomeTable) -> tuple[str, str]:
    """The weakest and the best single model; two different ones even if all are equally good."""
    order = np.nanmean(table.score, axis=0).argsort(kind="stable")
    return table.models[int(order[0])], table.models[int(order[-1])]


def _pair_figures(
    table: OutcomeTable, success: Doubles, pair: tuple[str, str]
) -> dict[str, Figure]:
    weak, strong = (table.models.index(model) for model in pair)
    known = ~np.isnan(table.score[:, [weak, strong]]).any(axis=1)
    w, s = table.score[known, weak], table.score[known, strong]
    strength = (success[:, strong] - success[:, weak])[known]
    name = f"{pair[0]} → {pair[1]}"
    figures = {
        f"APGR {name}": _bootstrapped(lambda i: metrics.apgr(strength[i], w[i], s[i]), len(w))
    }
    for part in (0.2, 0.5, 0.8):
        figures[f"CPT({part:.0%}) {name}"] = _bootstrapped(
            lambda i, part=part: metrics.cpt(strength[i], w[i], s[i], part),
            len(w),
        )
    return figures


def _calibration(success: Doubles, score: Doubles) -> Figure:
    """The calibration error; its interval is corrected for the error that resampling adds.

    Noise never lowers a mean of absolute values, so the resampled errors lie above the error
    itself: they are shifted by that bias. Source: Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993, chapter 10.
    """
    value = metrics.calibration_error(success, score)
    drawn = metrics.resampled(
        lambda i: metrics.calibration_error(success[i], score[i]), len(score), _ERROR_DRAWS
    )
    low, high = np.quantile(drawn - drawn.mean() + value, [0.025, 0.975])
    return Figure(value=value, low=max(0.0, float(low)), high=float(high))


def _bootstrapped(figure: Any, rows: int) -> Figure:
    if not rows:
        return Figure(value=float("nan"))
    low, high = metrics.bootstrap(figure, rows)
    return Figure(value=float(figure(np.arange(rows))), low=low, high=high)


def _points(curve: metrics.Frontier) -> tuple[tuple[float, float], ...]:
    return tuple(zip(curve.costs.tolist(), curve.qualities.tolist(), strict=True))

"""What an evaluation says: policies beside baselines, every figure with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from turnout.core import ConfigError
from turnout.evaluation import baselines, metrics
from turnout.evaluation.driver import Replayed
from turnout.evaluation.outcome_table import OutcomeTable

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_DRAWS = 200
_SWEEP_DRAWS = 30
_KEPT = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A value with its 95 % bootstrap interval; NaN where it is unknown."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the report.

    Mean quality and USD a thousand requests; ``saving_vs_best`` is against the best single model,
    ``saving_vs_dearest`` against the dearest one; ``over_mixing`` is the quality above that of
    mixing single models (the zero router) at the same cost, ``oracle_gap`` what the oracle has
    more.
    """

    name: str
    quality: Figure
    usd_per_1000: Figure
    saving_vs_best: Figure
    saving_vs_dearest: Figure
    over_mixing: Figure
    oracle_gap: Figure
    picks: Mapping[str, Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Figures of the predictions themselves, and the curves as (USD a request, quality)."""

    figures: Mapping[str, Figure]
    routed: tuple[tuple[float, float], ...] = ()
    mixed: tuple[tuple[float, float], ...] = ()
    task_oracle: tuple[tuple[float, float], ...] = ()
    singles: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole evaluation; ``notes`` says what qualifies its figures."""

    table: str
    prompts: int
    models: int
    bundle: str
    rows: tuple[Row, ...]
    curve: Curve
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values; an unknown figure is null."""
        return _plain(asdict(self))  # type: ignore[no-any-return]


class Rows:
    """Makes the lines of one table's report; all are resampled alike."""

    def __init__(self, table: OutcomeTable, *, seed: int = 0) -> None:
        self._table = table
        count = len(table.prompts)
        every = np.arange(count)[None, :]
        drawn = np.random.default_rng(seed).integers(0, count, (_DRAWS, count))
        # The rows as they are come first, so that a figure and its interval are made alike.
        self._draws = np.concatenate([every, drawn])
        self._qualities = np.stack([_column_means(table.score[i]) for i in self._draws])
        cost = table.cost_usd
        self._prices = (
            None if cost is None else np.stack([_column_means(cost[i]) for i in self._draws])
        )
        self._best = int(self._qualities[0].argmax())
        self._top = baselines.oracle(table.score).max(axis=1)

    @property
    def dearest(self) -> str:
        """Names the dearest model, where costs are known."""
        if self._prices is None or np.isnan(self._prices[0]).all():
            return ""
        return f"; dearest: {self._table.models[int(np.nanargmax(self._prices[0]))]}"

    def of(self, name: str, replayed: Replayed) -> Row:
        """A replayed policy as a line."""
        return self._row(name, replayed.score, replayed.cost_usd, replayed.chosen)

    def baselines(self, tasks: Sequence[object] | None) -> list[Row]:
        """Best single, zero router, task oracle and oracle: what bounds a router on both sides."""
        table = self._table
        found = [self._fixed("best single", np.full(len(table.prompts), self._best))]
        if self._prices is not None:
            found.append(self._zero_router(self._prices))
        if tasks is not None and any(task is not None for task in tasks):
            values = baselines.task_oracle(table.score, tasks)
            found.append(self._fixed("task oracle", self._cheapest_best(values)))
        chosen = self._cheapest_best(baselines.oracle(table.score))
        return [*found, self._fixed("oracle", chosen)]

    def _fixed(self, name: str, chosen: Ints) -> Row:
        table, rows = self._table, np.arange(len(chosen))
        cost = table.cost_usd
        paid = np.full(len(rows), np.nan) if cost is None else cost[rows, chosen]
        return self._row(name, np.nan_to_num(table.score[rows, chosen]), paid, chosen)

    def _cheapest_best(self, values: Floats) -> Ints:
        """The cheapest of the models that share the highest value of each row."""
        count = len(self._table.models)
        price = np.zeros(count) if self._prices is None else self._prices[0]
        # An unknown price is dearer than any, but may still be the only one that is right.
        price = np.nan_to_num(price, nan=float(np.nanmax(price, initial=0.0)) * 1e6 + 1.0)
        top = values >= values.max(axis=1, keepdims=True) - 1e-9
        return np.asarray(np.where(top, price, np.inf).argmin(axis=1), dtype=np.int64)

    def _row(self, name: str, score: Floats, cost: Floats, chosen: Ints) -> Row:
        quality, paid = score[self._draws].mean(axis=1), cost[self._draws].mean(axis=1)
        picked = np.bincount(chosen[chosen >= 0], minlength=len(self._table.models))
        picks = {
            self._table.models[m]: _figure((chosen[self._draws] == m).mean(axis=1))
            for m in np.argsort(-picked)
            if picked[m] > 0
        }
        return self._line(name, quality, paid, picks)

    def _zero_router(self, prices: Floats) -> Row:
        """The cheapest mix of single models with 95 % of the best one's quality."""
        costs = []
        for quality, price in zip(self._qualities, prices, strict=True):
            mixed = _mixed(price, quality)
            costs.append(mixed.cost_at(_KEPT * quality[self._best]))
        quality = _KEPT * self._qualities[:, self._best]
        return self._line(f"zero router at {_KEPT:.0%}", quality, np.array(costs), {})

    def _line(self, name: str, quality: Floats, paid: Floats, picks: Mapping[str, Figure]) -> Row:
        gap = self._top[self._draws].mean(axis=1) - quality
        unknown = np.full(len(quality), np.nan)
        saved, saved_most, over = unknown, unknown, unknown
        if self._prices is not None:
            with np.errstate(invalid="ignore", divide="ignore"):
                saved = 1 - paid / self._prices[:, self._best]
                saved_most = 1 - paid / np.nanmax(self._prices, axis=1)
            over = self._over_mixing(self._prices, quality, paid)
        return Row(
            name=name,
            quality=_figure(quality),
            usd_per_1000=_figure(1000 * paid),
            saving_vs_best=_figure(saved),
            saving_vs_dearest=_figure(saved_most),
            over_mixing=_figure(over),
            oracle_gap=_figure(gap),
            picks=picks,
        )

    def _over_mixing(self, prices: Floats, quality: Floats, paid: Floats) -> Floats:
        found = []
        for price, alone, mine, cost in zip(prices, self._qualities, quality, paid, strict=True):
            mixed = _mixed(price, alone)
            at = float(np.interp(cost, mixed.costs, mixed.qualities))
            found.append(mine - at if cost >= mixed.costs[0] * (1 - 1e-9) else np.nan)
        return np.array(found)


def curve_of(table: OutcomeTable, success: Floats, pair: tuple[str, str] | None) -> Curve:
    """AIQ, savings, APGR, CPT and calibration of predictions ``success [n, m]``."""
    rows = len(table.score)
    figures = {
        "calibration error": _bootstrapped(
            lambda i: metrics.calibration_error(success[i], table.score[i]), rows, draws=100
        )
    }
    figures |= _pair_figures(table, success, pair or _ends(table))
    if table.cost_usd is None:
        return Curve(figures=figures)
    try:
        priced = table.priced()
    except ConfigError:
        return Curve(figures=figures)
    columns = [table.models.index(model) for model in priced.models]
    assert priced.cost_usd is not None  # noqa: S101 - narrows the type; priced() saw to it
    place = {key: number for number, key in enumerate(table.ids)}
    found = success[[place[key] for key in priced.ids]][:, columns]
    score, cost = priced.score, priced.cost_usd
    figures |= _cost_figures(found, score, cost)
    tasks = priced.column("task")
    alone = metrics.singles(score, cost)
    mean_cost = cost.mean(axis=0)
    oracle: tuple[tuple[float, float], ...] = ()
    if any(task is not None for task in tasks):
        known = baselines.task_oracle(score, tasks)
        oracle = _points(metrics.sweep(known, score, cost, mean_cost))
        aiq = metrics.cost_quality(known, score, cost).aiq
        figures["AIQ of the task oracle"] = Figure(value=aiq)
    return Curve(
        figures=figures,
        routed=_points(metrics.sweep(found, score, cost, mean_cost)),
        mixed=_points(metrics.frontier(alone)),
        task_oracle=oracle,
        singles=tuple((m, c, q) for m, (c, q) in zip(priced.models, alone, strict=True)),
    )


def _cost_figures(found: Floats, score: Floats, cost: Floats) -> dict[str, Figure]:
    drawn = np.random.default_rng(0).integers(0, len(score), (_SWEEP_DRAWS, len(score)))
    every = np.arange(len(score))[None, :]
    all_of = [metrics.cost_quality(found[i], score[i], cost[i]) for i in (*every, *drawn)]
    names = {
        "AIQ": "aiq",
        "AIQ of the zero router": "zero",
        "AIQ above zero router": "gain",
        "saving at 95 % of best single": "saving",
        "same, mixing single models": "saving_zero",
    }
    return {
        label: _figure(np.array([getattr(one, name) for one in all_of]))
        for label, name in names.items()
    }


def _ends(table: OutcomeTable) -> tuple[str, str]:
    """The weakest and the best single model."""
    mean = np.nanmean(table.score, axis=0)
    return table.models[int(mean.argmin())], table.models[int(mean.argmax())]


def _pair_figures(table: OutcomeTable, success: Floats, pair: tuple[str, str]) -> dict[str, Figure]:
    weak, strong = (table.models.index(model) for model in pair)
    known = ~np.isnan(table.score[:, [weak, strong]]).any(axis=1)
    w, s = table.score[known, weak], table.score[known, strong]
    strength = (success[:, strong] - success[:, weak])[known]
    name = f"{pair[0]} → {pair[1]}"
    found = {f"APGR {name}": _bootstrapped(lambda i: metrics.apgr(strength[i], w[i], s[i]), len(w))}
    for part in (0.2, 0.5, 0.8):
        found[f"CPT({part:.0%}) {name}"] = _bootstrapped(
            lambda i, part=part: metrics.cpt(strength[i], w[i], s[i], part),
            len(w),
        )
    return found


def _bootstrapped(figure: Any, rows: int, draws: int = _DRAWS) -> Figure:
    low, high = metrics.bootstrap(figure, rows, draws=draws)
    return Figure(value=float(figure(np.arange(rows))), low=low, high=high)


def _figure(values: Floats) -> Figure:
    """The first value, with the interval of the others."""
    drawn = values[1:][~np.isnan(values[1:])]
    if np.isnan(values[0]) or not len(drawn):
        return Figure(value=float(values[0]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Figure(value=float(values[0]), low=float(low), high=float(high))


def _mixed(prices: Floats, qualities: Floats) -> metrics.Frontier:
    known = ~(np.isnan(prices) | np.isnan(qualities))
    pairs = zip(prices[known].tolist(), qualities[known].tolist(), strict=True)
    return metrics.frontier(list(pairs))


def _points(curve: metrics.Frontier) -> tuple[tuple[float, float], ...]:
    return tuple(zip(curve.costs.tolist(), curve.qualities.tolist(), strict=True))


def _column_means(grid: Floats) -> Floats:
    """Means of the known cells, NaN where a column has none."""
    known = ~np.isnan(grid)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, grid, 0.0).sum(axis=0) / known.sum(axis=0))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return None if np.isnan(value) else value
    return value

"""What an evaluation says: policies beside baselines, with intervals, as rows, JSON and a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from turnout.core import ConfigError
from turnout.evaluation import baselines, metrics
from turnout.evaluation.driver import Replayed
from turnout.evaluation.outcome_table import OutcomeTable

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the report: mean quality, USD a thousand requests, and savings, NaN unknown."""

    name: str
    quality: float
    quality_interval: Interval
    usd_per_1000: float
    cost_interval: Interval
    saving_vs_best: float
    saving_vs_strongest: float
    oracle_gap: float
    picks: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Figures of the predictions themselves; each value with its interval where it has one."""

    figures: Mapping[str, tuple[float, Interval | None]]
    routed: tuple[tuple[float, float], ...] = ()
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


def row_of(name: str, replayed: Replayed, table: OutcomeTable) -> Row:
    """A replayed policy as a line."""
    return _row(name, replayed.score, replayed.cost_usd, table, _picks(replayed.chosen, table))


def baseline_rows(table: OutcomeTable, tasks: Sequence[object] | None) -> list[Row]:
    """Best single, the task oracle and the oracle: what bounds a router from both sides."""
    mean = np.nanmean(table.score, axis=0)
    best = int(mean.argmax())
    tops = {"best single": np.full(len(table.prompts), best)}
    if tasks is not None and any(task is not None for task in tasks):
        tops["task oracle"] = _cheapest_best(baselines.task_oracle(table.score, tasks), table)
    tops["oracle"] = _cheapest_best(baselines.oracle(table.score), table)
    return [_fixed_row(name, chosen, table) for name, chosen in tops.items()]


def _fixed_row(name: str, chosen: npt.NDArray[np.int64], table: OutcomeTable) -> Row:
    rows = np.arange(len(chosen))
    score = np.nan_to_num(table.score[rows, chosen])
    cost = np.full(len(rows), np.nan) if table.cost_usd is None else table.cost_usd[rows, chosen]
    return _row(name, score, cost, table, _picks(chosen, table))


def _cheapest_best(values: Floats, table: OutcomeTable) -> npt.NDArray[np.int64]:
    """The cheapest of the models that share the highest value of each row."""
    price = np.zeros(len(table.models)) if table.cost_usd is None else _means(table.cost_usd)
    top = values >= values.max(axis=1, keepdims=True) - 1e-9
    return np.asarray(np.where(top, price, np.inf).argmin(axis=1), dtype=np.int64)


def _row(
    name: str, score: Floats, cost: Floats, table: OutcomeTable, picks: Mapping[str, float]
) -> Row:
    mean = np.nanmean(table.score, axis=0)
    best, count = int(mean.argmax()), len(score)
    top = float(baselines.oracle(table.score).max(axis=1).mean())
    prices = None if table.cost_usd is None else _means(table.cost_usd)
    paid = float(cost.mean())
    return Row(
        name=name,
        quality=float(score.mean()),
        quality_interval=metrics.bootstrap(lambda i: float(score[i].mean()), count),
        usd_per_1000=1000 * paid,
        cost_interval=metrics.bootstrap(lambda i: 1000 * float(cost[i].mean()), count),
        saving_vs_best=_saving(paid, prices, best),
        saving_vs_strongest=_saving(paid, prices, None),
        oracle_gap=top - float(score.mean()),
        picks=picks,
    )


def _saving(paid: float, prices: Floats | None, model: int | None) -> float:
    """Share of a model's cost saved; against the dearest model where none is named."""
    if prices is None or np.isnan(prices).all():
        return float("nan")
    against = float(np.nanmax(prices)) if model is None else float(prices[model])
    return 1 - paid / against if against > 0 else float("nan")


def _picks(chosen: npt.NDArray[np.int64], table: OutcomeTable) -> dict[str, float]:
    counts = np.bincount(chosen[chosen >= 0], minlength=len(table.models)) / max(1, len(chosen))
    order = np.argsort(-counts)
    return {table.models[i]: float(counts[i]) for i in order if counts[i] > 0}


def _means(cost: Floats) -> Floats:
    known = ~np.isnan(cost)
    totals = np.where(known, cost, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray(totals / known.sum(axis=0))


def curve_of(table: OutcomeTable, success: Floats, pair: tuple[str, str] | None) -> Curve:
    """AIQ, savings, APGR, CPT and calibration of predictions ``success [n, m]``."""
    figures: dict[str, tuple[float, Interval | None]] = {
        "calibration error": (metrics.calibration_error(success, table.score), None)
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
    whole = metrics.cost_quality(found, score, cost)

    def again(name: str) -> Interval:
        return metrics.bootstrap(
            lambda i: float(getattr(metrics.cost_quality(found[i], score[i], cost[i]), name)),
            len(score),
            draws=30,
        )

    figures["AIQ"] = (whole.aiq, again("aiq"))
    figures["AIQ above zero router"] = (whole.gain, again("gain"))
    figures["saving at 95 % of best single"] = (whole.saving, again("saving"))
    figures["same, mixing single models"] = (whole.saving_zero, None)
    routed = metrics.sweep(found, score, cost, cost.mean(axis=0))
    alone = metrics.singles(score, cost)
    return Curve(
        figures=figures,
        routed=tuple(zip(routed.costs.tolist(), routed.qualities.tolist(), strict=True)),
        singles=tuple((m, c, q) for m, (c, q) in zip(priced.models, alone, strict=True)),
    )


def _ends(table: OutcomeTable) -> tuple[str, str]:
    """The weakest and the best single model."""
    mean = np.nanmean(table.score, axis=0)
    return table.models[int(mean.argmin())], table.models[int(mean.argmax())]


def _pair_figures(
    table: OutcomeTable, success: Floats, pair: tuple[str, str]
) -> dict[str, tuple[float, Interval | None]]:
    weak, strong = (table.models.index(model) for model in pair)
    known = ~np.isnan(table.score[:, [weak, strong]]).any(axis=1)
    w, s = table.score[known, weak], table.score[known, strong]
    strength = (success[:, strong] - success[:, weak])[known]
    interval = metrics.bootstrap(lambda i: metrics.apgr(strength[i], w[i], s[i]), len(w))
    name = f"{pair[0]} → {pair[1]}"
    return {
        f"APGR {name}": (metrics.apgr(strength, w, s), interval),
        f"CPT(50 %) {name}": (metrics.cpt(strength, w, s, 0.5), None),
        f"CPT(80 %) {name}": (metrics.cpt(strength, w, s, 0.8), None),
    }


def plot(report: Report, path: Path) -> None:
    """The cost-quality plot as PNG or SVG, by the file's name.

    Raises ConfigError where matplotlib is missing or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("plots need matplotlib: pip install 'turnout[plot]'") from error
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for model, cost, quality in report.curve.singles:
        axes.plot(1000 * cost, quality, "o", color="0.6")
        axes.annotate(model, (1000 * cost, quality), fontsize=6, color="0.4")
    costs, qualities = zip(*report.curve.routed, strict=True) if report.curve.routed else ((), ())
    axes.plot([1000 * c for c in costs], qualities, "-", color="tab:blue", label="routed")
    for row in report.rows:
        if not np.isnan(row.usd_per_1000):
            axes.plot(row.usd_per_1000, row.quality, "x", label=row.name)
    axes.set(
        xlabel="USD a thousand requests", ylabel="mean quality", title=report.table, xscale="log"
    )
    axes.legend(fontsize=7)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be written: {error}; use .png or .svg") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return None if np.isnan(value) else value
    return value

"""``turnout savings``: what routing cost, and what one model for all would have cost."""

import csv
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from turnout.cli.options import (
    ConfigOption,
    JsonOption,
    PlaceOption,
    SinceOption,
    open_store,
    since_ms_of,
)
from turnout.cli.show import out, print_json, print_table
from turnout.core import ConfigError, format_usd, usd_from_pico
from turnout.core.money import PICO_PER_USD, exact_usd
from turnout.ledger.baselines import Baseline, Group
from turnout.ledger.forecast import Forecast
from turnout.ledger.savings import By, Savings
from turnout.ledger.savings import savings as report_of

_COLUMNS = ("group", "requests", "actual $", "strongest $", "cheapest $", "best single $",
            "saving", "quality")  # fmt: skip


def savings(
    *,
    since: SinceOption = None,
    by: Annotated[By | None, typer.Option(help="Group by intent, model or day.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a plot: .png, .svg or .pdf.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    ledger: PlaceOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Compare what was spent with one model for the same traffic."""
    if json and as_csv:
        raise ConfigError("--csv and --json exclude each other; leave one out")
    now_ms = time.time_ns() // 1_000_000
    store = open_store(ledger, config)
    report = report_of(store, since_ms=since_ms_of(since, now_ms), by=by, now_ms=now_ms)
    if plot is not None:
        draw(report, plot)
    if json:
        print_json(report.as_dict())
    elif as_csv:
        _write_csv(report)
    else:
        _show(report)


def _show(report: Savings) -> None:
    rows = [_row(group) for group in report.groups]
    rows.append(_row(report.total, "all"))
    print_table("What routing cost, and one model for all", _COLUMNS, rows)
    out.print(report.sentence())
    for line in (*_notes(report.total), *_forecast(report.forecast)):
        out.print(line)


def _row(group: Group, key: str | None = None) -> tuple[str, ...]:
    strongest = group.strongest
    saved = strongest.saved_share if strongest else None
    return (
        key or group.key or "none",
        f"{group.sums['requests']:,}",
        format_usd(group.sums["cost"]),
        _cost(strongest),
        _cost(group.cheapest),
        _cost(group.best_single),
        "" if saved is None else f"{saved:.1%}",
        _quality(group),
    )


def _cost(baseline: Baseline | None) -> str:
    if baseline is None:
        return "unknown"
    star = "*" if baseline.unknown or baseline.unfit else ""
    return format_usd(baseline.cost_pico_usd) + star


def _quality(group: Group) -> str:
    parts = [f"expected {group.quality:.3f}"] if group.quality is not None else []
    parts += [f"{metric} {mean:.3f} (n={n})" for metric, (mean, n) in group.feedback.items()]
    return ", ".join(parts)


def _notes(total: Group) -> Iterator[str]:
    sums = total.sums
    if sums["extra_calls"]:
        yield (
            f"{sums['extra_calls']:,} calls that did not answer (labels, retries, failures) cost "
            f"{format_usd(sums['extra'])}, counted above"
        )
    if total.best_single is not None:
        yield f"best single model: {total.best_single.name}"
    if sums["unknown_calls"]:
        yield f"{sums['unknown_calls']:,} calls of unknown price are not in the sums"
    if sums["estimated"]:
        yield f"{sums['estimated']:,} requests have tokens counted here: their provider sent none"
    if sums["released"]:
        yield f"{sums['released']:,} requests ended before their cost was known: it may be higher"
    if sums["stand_in"]:
        yield f"{sums['stand_in']:,} requests were answered by a stand-in and are not compared"
    strongest = total.strongest
    if strongest is not None and (strongest.unfit or strongest.unknown):
        yield (
            f"* {strongest.unfit:,} requests the strongest model could not have taken, "
            f"{strongest.unknown:,} could not be compared without a price"
        )


def _forecast(forecast: Forecast | None) -> Iterator[str]:
    if forecast is not None:
        basis = {0: "from today alone", 1: "from one day"}.get(
            forecast.days, f"from {forecast.days} days"
        )
        if forecast.low_pico_usd is not None and forecast.high_pico_usd is not None:
            low, high = _rounded(forecast.low_pico_usd), _rounded(forecast.high_pico_usd)
            basis += f"; 8 in 10 between {low} and {high}"
        yield (
            f"{forecast.month}: {_rounded(forecast.spent_pico_usd)} so far, "
            f"{_rounded(forecast.expected_pico_usd)} expected ({basis})"
        )


def _rounded(pico_usd: int) -> str:
    """The amount with two decimals, or, below a dollar, with six."""
    return format_usd(pico_usd, places=2 if pico_usd >= PICO_PER_USD else 6)


def _write_csv(report: Savings) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(
        ("group", "requests", "actual_usd", "strongest_usd", "cheapest_usd", "best_single",
         "best_single_usd", "saved_share", "expected_quality")
    )  # fmt: skip
    for key, group in [*((g.key or "none", g) for g in report.groups), ("all", report.total)]:
        best, strongest = group.best_single, group.strongest
        writer.writerow(
            (key, group.sums["requests"], exact_usd(group.sums["cost"]), _usd(strongest),
             _usd(group.cheapest), best.name if best else "", _usd(best),
             "" if strongest is None else strongest.saved_share, group.quality)
        )  # fmt: skip


def _usd(baseline: Baseline | None) -> str:
    return "" if baseline is None else exact_usd(baseline.cost_pico_usd)


def draw(report: Savings, path: Path) -> None:
    """Draws a bar for each way to serve the traffic, by group. Raises ConfigError."""
    from matplotlib.figure import Figure

    from turnout.evaluation.plotting import save_figure

    groups = report.groups or (report.total,)
    figure = Figure(figsize=(max(6.0, 1.6 * len(groups)), 4.0), layout="constrained")
    axes = figure.subplots()
    for place, (name, costs) in enumerate(_bars(groups).items()):
        where = [index + (place - 1.5) * 0.2 for index in range(len(groups))]
        axes.bar(where, costs, width=0.2, label=name)
    axes.set_xticks(range(len(groups)), [g.key or "all" for g in groups])
    axes.set_ylabel("USD")
    axes.set_title(report.sentence().replace("$", r"\$"), fontsize=9)
    axes.legend()
    save_figure(figure, path)


def _bars(groups: Any) -> dict[str, list[float]]:
    def usd(baseline: Baseline | None) -> float:
        return float(usd_from_pico(baseline.cost_pico_usd)) if baseline else 0.0

    return {
        "actual": [float(usd_from_pico(g.sums["cost"])) for g in groups],
        "always strongest": [usd(g.strongest) for g in groups],
        "always cheapest": [usd(g.cheapest) for g in groups],
        "best single": [usd(g.best_single) for g in groups],
    }

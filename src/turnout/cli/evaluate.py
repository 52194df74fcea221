"""``turnout eval``: policies and baselines replayed on outcome tables, with intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import orjson
import typer

from turnout.cli.as_served import as_served
from turnout.cli.extras import need
from turnout.cli.files import make_room, store, written
from turnout.cli.jsonl import line_of
from turnout.cli.options import JsonOption
from turnout.cli.policy_specs import POLICIES, policy_of
from turnout.cli.show import err, out, print_json, print_table, waiting
from turnout.cli.tables import TableOption, read_tables
from turnout.core import ConfigError
from turnout.core.plural import many

if TYPE_CHECKING:
    from turnout.classifiers.success import Bundle
    from turnout.evaluation import Figure, OutcomeTable, Predictions, Report
    from turnout.evaluation.driver import Replayed
    from turnout.policies import Policy

_NAMED = 6
_DRAWN = {".png", ".svg"}
_DEFAULT = ("cheapest_above_quality:0.95", "utility:100", "cascade")


def evaluate(
    *,
    table: TableOption,
    policy: Annotated[list[str] | None, typer.Option(help=f"One or several: {POLICIES}.")] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Predictions to evaluate; without one, five grouped folds of the table."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="A turnout.yaml: also replay what it serves."),
    ] = None,
    pair: Annotated[
        str | None, typer.Option(help="WEAK,STRONG models for APGR; else weakest and best.")
    ] = None,
    unpriced: Annotated[
        bool, typer.Option("--unpriced", help="Keep models without costs beside priced ones.")
    ] = False,
    drawn: Annotated[
        Path | None, typer.Option("--plot", help="Cost-quality plot, .png or .svg.")
    ] = None,
    picks: Annotated[
        Path | None, typer.Option(help="JSONL of what each policy picked for each prompt.")
    ] = None,
    save: Annotated[Path | None, typer.Option("--out", help="Also write the JSON here.")] = None,
    json: JsonOption = False,
) -> None:
    """Replay policies on outcome tables, by the code that serves.

    Each table gets a report. Without a bundle, a prompt's predictions come from training on the
    folds it is not in, of all tables.
    """
    from turnout.classifiers.success import open_bundle
    from turnout.evaluation import evaluate as run
    from turnout.evaluation import plot

    _check_places(table, drawn, picks, save)
    if drawn is not None:
        need("plot", "--plot")
        if len(table) > 1:
            raise ConfigError("--plot draws a single table; give one --table")
    tables = [one.answered().costed(unpriced=unpriced) for one in read_tables(table)]
    for name, note in ((one.name, note) for one in tables for note in one.notes):
        err.print(f"turnout: {name}: {note}")
    specs, ends = policy or list(_DEFAULT), [_pair(pair, one) for one in tables]
    _check_margins(specs, bundle)
    opened = None if bundle is None else open_bundle(bundle)
    policies = [_policies(specs, one, opened, config) for one in tables]
    known = _predictions(tables, opened)
    with waiting("replaying, and drawing intervals"):
        each = zip(tables, policies, known, ends, strict=True)
        reports = [run(one, rules, told, pair=two) for one, rules, told, two in each]
    if drawn is not None:
        plot(reports[0], drawn)
    if picks is not None:
        _write_picks(picks, tables, reports)
    records = [report.as_dict() for report in reports]
    record = records[0] if len(records) == 1 else {"tables": records}
    if save is not None:
        store(save, orjson.dumps(record, option=orjson.OPT_INDENT_2) + b"\n")
    if json:
        print_json(record)
    else:
        for report in reports:
            _show(report)


def _write_picks(
    place: Path, tables: "Sequence[OutcomeTable]", reports: "Sequence[Report]"
) -> None:
    from turnout.evaluation import picks

    with written(place) as file:
        for table, report in zip(tables, reports, strict=True):
            file.writelines(map(line_of, picks(table, report)))


def _policies(
    specs: Sequence[str], table: "OutcomeTable", bundle: "Bundle | None", config: Path | None
) -> "dict[str, Policy | Replayed]":
    """The policies by name; what the configuration serves is one of them."""
    from turnout.evaluation import best_first
    from turnout.policies import CheapestAboveQuality

    order = best_first(table)
    found: dict[str, Policy | Replayed] = {
        spec: policy_of(spec, order, table, bundle) for spec in specs
    }
    for spec, rule in found.items():
        if isinstance(rule, CheapestAboveQuality) and rule.share(None) != rule.quality:
            err.print(f"turnout: {spec}: calibrated, so the share is {rule.share(None):g}")
    if config is not None:
        found["served"] = as_served(table, config)
    return found


def _check_places(
    tables: Sequence[Path], drawn: Path | None, picks: Path | None, save: Path | None
) -> None:
    """Checks and makes the folders to write to, before training takes its time."""
    if save is not None and str(save) == "-":
        raise ConfigError("--out -: --json prints what --out writes; name a file, or give --json")
    if picks is not None and str(picks) == "-":
        raise ConfigError("--picks -: standard output has the report; name a file")
    for place in (drawn, picks, save):
        if place is not None:
            make_room(place, tables, "result")
    if drawn is not None and drawn.suffix.lower() not in _DRAWN:
        raise ConfigError(f"--plot {drawn}: name it .png or .svg")


def _check_margins(specs: list[str], bundle: Path | None) -> None:
    for spec in specs:
        if bundle is None and spec.startswith("cheapest_above_quality:") and "," in spec:
            raise ConfigError(
                f"--policy {spec!r}: a margin needs a bundle, which knows strange prompts; "
                "add --bundle"
            )


def _predictions(tables: "Sequence[OutcomeTable]", bundle: "Bundle | None") -> "list[Predictions]":
    """The bundle's predictions for each table; without a bundle, out-of-fold ones."""
    from turnout.evaluation import Predictions, predictions
    from turnout.training.crossfit import grouped_folds

    if bundle is not None:
        return [predictions(table, bundle) for table in tables]
    whose = "the table" if len(tables) == 1 else "the tables"
    err.print(f"turnout: no bundle given: five grouped folds of {whose}")
    with waiting("training on five grouped folds"):
        found = grouped_folds(tables)
    notes = ("predictions are out of fold (5 folds)",)
    return [Predictions(success=success, notes=notes) for success in found]


def _pair(pair: str | None, table: "OutcomeTable") -> tuple[str, str] | None:
    if pair is None:
        return None
    known = {model.strip(): model for model in table.models}
    parts = pair.split(",")
    halves = [(",".join(parts[:n]).strip(), ",".join(parts[n:]).strip()) for n in range(len(parts))]
    found = [(known[weak], known[strong]) for weak, strong in halves if {weak, strong} <= {*known}]
    if len(found) != 1:
        raise ConfigError(
            f"--pair {pair!r}: give two of the table's models, WEAK,STRONG: "
            f"{', '.join(table.models)}"
        )
    return found[0]


def _show(report: "Report") -> None:
    columns = {
        "quality": ("quality", "{:.3f}"),
        "$ / 1000": ("usd_per_1000", "{:.3f}"),
        "ms": ("latency_ms", "{:.0f}"),
        "saved vs best": ("saving_vs_best", "{:.1%}"),
        "vs dearest": ("saving_vs_dearest", "{:.1%}"),
        "over mixing": ("over_mixing", "{:+.3f}"),
        "oracle gap": ("oracle_gap", "{:.3f}"),
    }
    if all(np.isnan(row.latency_ms.value) for row in report.rows):
        del columns["ms"]
    print_table(
        f"{report.table}: {many(report.prompts, 'prompt')} x {report.models} models",
        ("policy", *columns),
        [
            (row.name, *(_shown(getattr(row, name), shape) for name, shape in columns.values()))
            for row in report.rows
        ],
    )
    print_table(
        "picks",
        ("policy", "share of requests that each model answers"),
        [(row.name, _picked(row.picks)) for row in report.rows if row.picks],
    )
    print_table(
        "predictions",
        ("figure", "value"),
        [(name, _shown(figure, "{:.4f}")) for name, figure in report.curve.figures.items()],
    )
    for note in report.notes:
        out.print(f"note: {note}")


def _shown(figure: "Figure", shape: str) -> str:
    """The value and half the width of its 95 % interval; JSON has both ends."""
    if np.isnan(figure.value):
        return "unknown"
    # Adding zero turns a negative one into a plain one.
    shown = shape.format(round(figure.value, 6) + 0.0)
    if np.isnan(figure.low):
        return shown
    return f"{shown} ±{shape.replace('+', '').format((figure.high - figure.low) / 2)}"


def _picked(picks: Mapping[str, "Figure"]) -> str:
    """The models picked most, and how many more there are."""
    parts = [f"{model} {_shown(share, '{:.0%}')}" for model, share in list(picks.items())[:_NAMED]]
    more = len(picks) - len(parts)
    return ", ".join([*parts, f"{more} more"] if more > 0 else parts)

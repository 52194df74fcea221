"""``turnout eval``: policies and baselines replayed on outcome tables, with intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import orjson
import typer

from turnout.cli.as_served import replay_as_served
from turnout.cli.extras import require_extra
from turnout.cli.files import output_file, prepare_target, write_whole
from turnout.cli.jsonl import json_line
from turnout.cli.options import JsonOption
from turnout.cli.policy_specs import POLICIES, policy_of
from turnout.cli.show import err, out, print_json, print_table, status_line
from turnout.cli.tables import TableOption, read_tables
from turnout.core import ConfigError
from turnout.core.plural import many

if TYPE_CHECKING:
    from turnout.classifiers.success import Bundle
    from turnout.evaluation import Figure, OutcomeTable, Predictions, Report
    from turnout.evaluation.driver import Replayed
    from turnout.policies import Policy

_MOST_PICKS_SHOWN = 6
_PLOT_FORMATS = {".png", ".svg"}
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
    plot_file: Annotated[
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

    _check_places(table, plot_file, picks, save)
    if plot_file is not None:
        require_extra("plot", "--plot")
        if len(table) > 1:
            raise ConfigError("--plot draws a single table; give one --table")
    tables = [one.answered().costed(unpriced=unpriced) for one in read_tables(table)]
    for name, note in ((one.name, note) for one in tables for note in one.notes):
        err.print(f"turnout: {name}: {note}")
    specs, pairs = policy or list(_DEFAULT), [_read_pair(pair, one) for one in tables]
    _check_margins(specs, bundle)
    loaded = None if bundle is None else open_bundle(bundle)
    policies = [_policies(specs, one, loaded, config) for one in tables]
    predicted = _predictions(tables, loaded)
    with status_line("replaying, and drawing intervals"):
        inputs = zip(tables, policies, predicted, pairs, strict=True)
        reports = [
            run(one, rules, predictions, pair=ends) for one, rules, predictions, ends in inputs
        ]
    if plot_file is not None:
        plot(reports[0], plot_file)
    if picks is not None:
        _write_picks(picks, tables, reports)
    records = [report.as_dict() for report in reports]
    record = records[0] if len(records) == 1 else {"tables": records}
    if save is not None:
        write_whole(save, orjson.dumps(record, option=orjson.OPT_INDENT_2) + b"\n")
    if json:
        print_json(record)
    else:
        for report in reports:
            _show(report)


def _write_picks(path: Path, tables: "Sequence[OutcomeTable]", reports: "Sequence[Report]") -> None:
    from turnout.evaluation import picks

    with output_file(path) as file:
        for table, report in zip(tables, reports, strict=True):
            file.writelines(map(json_line, picks(table, report)))


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
        found["served"] = replay_as_served(table, config)
    return found


def _check_places(
    tables: Sequence[Path], plot_file: Path | None, picks: Path | None, save: Path | None
) -> None:
    """Checks and makes the folders to write to, before training takes its time."""
    if save is not None and str(save) == "-":
        raise ConfigError("--out -: --json prints what --out writes; name a file, or give --json")
    if picks is not None and str(picks) == "-":
        raise ConfigError("--picks -: standard output has the report; name a file")
    for path in (plot_file, picks, save):
        if path is not None:
            prepare_target(path, tables, "result")
    if plot_file is not None and plot_file.suffix.lower() not in _PLOT_FORMATS:
        raise ConfigError(f"--plot {plot_file}: name it .png or .svg")


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
    source = "the table" if len(tables) == 1 else "the tables"
    err.print(f"turnout: no bundle given: five grouped folds of {source}")
    with status_line("training on five grouped folds"):
        found = grouped_folds(tables)
    notes = ("predictions are out of fold (5 folds)",)
    return [Predictions(success=success, notes=notes) for success in found]


def _read_pair(pair: str | None, table: "OutcomeTable") -> tuple[str, str] | None:
    if pair is None:
        return None
    known = {model.strip(): model for model in table.models}
    parts = pair.split(",")
    splits = [(",".join(parts[:n]).strip(), ",".join(parts[n:]).strip()) for n in range(len(parts))]
    found = [(known[weak], known[strong]) for weak, strong in splits if {weak, strong} <= {*known}]
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
            (
                row.name,
                *(
                    _format_figure(getattr(row, name), template)
                    for name, template in columns.values()
                ),
            )
            for row in report.rows
        ],
    )
    print_table(
        "picks",
        ("policy", "share of requests that each model answers"),
        [(row.name, _format_picks(row.picks)) for row in report.rows if row.picks],
    )
    print_table(
        "predictions",
        ("figure", "value"),
        [(name, _format_figure(figure, "{:.4f}")) for name, figure in report.curve.figures.items()],
    )
    for note in report.notes:
        out.print(f"note: {note}")


def _format_figure(figure: "Figure", template: str) -> str:
    """The value and half the width of its 95 % interval; JSON has both ends."""
    if np.isnan(figure.value):
        return "unknown"
    # Adding zero turns a negative one into a plain one.
    shown = template.format(round(figure.value, 6) + 0.0)
    if np.isnan(figure.low):
        return shown
    return f"{shown} ±{template.replace('+', '').format((figure.high - figure.low) / 2)}"


def _format_picks(picks: Mapping[str, "Figure"]) -> str:
    """The models picked most, and how many more there are."""
    parts = [
        f"{model} {_format_figure(share, '{:.0%}')}"
        for model, share in list(picks.items())[:_MOST_PICKS_SHOWN]
    ]
    more = len(picks) - len(parts)
    return ", ".join([*parts, f"{more} more"] if more > 0 else parts)

"""``turnout eval``: policies replayed on an outcome table, beside the baselines, with intervals."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import orjson
import typer

from turnout.cli.files import store
from turnout.cli.options import JsonOption
from turnout.cli.policy_specs import POLICIES, policy_of
from turnout.cli.show import err, out, print_json, print_table, waiting
from turnout.core import ConfigError
from turnout.core.plural import many

if TYPE_CHECKING:
    from turnout.classifiers.success import Bundle
    from turnout.evaluation.driver import Floats, Replayed
    from turnout.evaluation.outcome_table import OutcomeTable
    from turnout.evaluation.report import Figure, Report

_NAMED = 6
_DEFAULT = ("cheapest_above_quality:0.95", "utility:100", "cascade")
_BASELINES = ("random", "cheapest", "strongest")


def evaluate(
    *,
    table: Annotated[Path, typer.Option(help="The outcome table to replay.")],
    policy: Annotated[list[str] | None, typer.Option(help=f"Repeat: {POLICIES}.")] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Predictions to evaluate; without one, five grouped folds of the table."),
    ] = None,
    pair: Annotated[
        str | None, typer.Option(help="WEAK,STRONG models for APGR; else weakest and best.")
    ] = None,
    unpriced: Annotated[
        bool, typer.Option("--unpriced", help="Keep models without costs beside priced ones.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(help="Cost-quality plot, .png or .svg.")] = None,
    save: Annotated[Path | None, typer.Option("--out", help="Also write the JSON here.")] = None,
    json: JsonOption = False,
) -> None:
    """Replay policies on an outcome table, by the code that serves."""
    from turnout.evaluation.plot import plot as draw
    from turnout.evaluation.table_files import read_table

    outcomes = read_table(table).answered().costed(unpriced=unpriced)
    for note in outcomes.notes:
        err.print(f"turnout: {outcomes.name}: {note}")
    report = _report(outcomes, policy or list(_DEFAULT), bundle, _pair(pair, outcomes))
    if plot is not None:
        draw(report, plot)
    if save is not None:
        store(save, orjson.dumps(report.as_dict(), option=orjson.OPT_INDENT_2) + b"\n")
    if json:
        print_json(report.as_dict())
    else:
        _show(report)


def _report(
    table: "OutcomeTable", specs: list[str], bundle: Path | None, pair: tuple[str, str] | None
) -> "Report":
    from turnout.evaluation.report import Report
    from turnout.evaluation.report_curve import curve_of
    from turnout.evaluation.report_rows import Rows

    _check_margins(specs, bundle)
    success, strange, known, opened, notes = _predictions(table, bundle)
    mean_cost = _of(known, "mean_cost_usd")
    if sum(model in mean_cost for model in table.models) < 2:
        mean_cost = {}
    plain = list(_BASELINES)
    if not mean_cost:
        plain.remove("cheapest")
        notes.append(
            "no costs, nor prices and token counts: none is the cheapest, and policies that weigh "
            "cost rank by quality only"
        )
    maker = Rows(table)
    world = _Replay(
        table=table,
        success=success,
        strange=strange,
        mean_cost=mean_cost,
        latency_ms=_of(known, "latency_ms"),
        bundle=opened,
        best=maker.best,
    )
    rows = [maker.of(spec, world.of(spec)) for spec in dict.fromkeys([*plain, *specs])]
    if any(spec.startswith("cascade") for spec in specs):
        notes.append("cascade: a draft is verified by the table's own score, as a test would")
    rows += maker.baselines(table.column("task"))
    notes.append(f"best single and strongest: {maker.best}{maker.dearest}")
    with waiting("drawing intervals"):
        curve = curve_of(table, success, pair)
    return Report(
        table=table.name,
        prompts=len(table.prompts),
        models=len(table.models),
        bundle=world.digest,
        rows=tuple(rows),
        curve=curve,
        notes=(*notes, *_missing(table, curve.whole)),
    )


def _check_margins(specs: list[str], bundle: Path | None) -> None:
    for spec in specs:
        if bundle is None and spec.startswith("cheapest_above_quality:") and "," in spec:
            raise ConfigError(
                f"--policy {spec!r}: a margin needs what a bundle knows of strange prompts; "
                "add --bundle"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replay:
    """What every policy is replayed with; ``best`` is the best single model.

    ``strange`` is how strange each prompt is, where a bundle says so.
    """

    table: "OutcomeTable"
    success: np.ndarray
    strange: "Floats | None"
    mean_cost: Mapping[str, float]
    latency_ms: Mapping[str, float]
    bundle: "Bundle | None"
    best: str

    @property
    def digest(self) -> str:
        """The bundle's hash, empty without one."""
        return self.bundle.digest if self.bundle else ""

    @property
    def order(self) -> tuple[str, ...]:
        """The models, the best first by their means on the table."""
        from turnout.evaluation.outcome_table import known_means

        table = self.table
        mean = dict(zip(table.models, known_means(table.score).tolist(), strict=True))
        return tuple(sorted(mean, key=lambda model: (-mean[model], model != self.best)))

    def of(self, spec: str) -> "Replayed":
        """One policy on the table."""
        from turnout.evaluation.driver import drive

        rule = policy_of(spec, self.order, self.table, self.bundle)
        with waiting(f"replaying {spec}"):
            return drive(
                self.table,
                rule,
                self.success,
                self.mean_cost,
                bundle=self.digest,
                latency_ms=self.latency_ms,
                strange=self.strange,
            )


def _missing(table: "OutcomeTable", whole: int) -> list[str]:
    """What missing outcomes do to the figures; ``whole`` prompts were answered by every model."""
    share = np.isnan(table.score).mean()
    if not share:
        return []
    note = (
        f"{share:.0%} of the outcomes are missing: a single model has its mean over the prompts "
        "that it answered, a policy falls back to the next model"
    )
    notes = [note]
    if table.cost_usd is not None:
        notes.append(
            f"AIQ and savings of predictions: on {many(whole, 'prompt')} that all answered"
        )
    return notes


def _predictions(
    table: "OutcomeTable", bundle: Path | None
) -> tuple[
    np.ndarray, "Floats | None", Mapping[str, Mapping[str, float]], "Bundle | None", list[str]
]:
    """P(success) and strangeness, what is known of each model, the bundle if any, and notes."""
    from turnout.classifiers.success import open_bundle
    from turnout.features.prompt import request_text
    from turnout.training.bundle import catalogue
    from turnout.training.crossfit import grouped_folds

    if bundle is None:
        err.print("turnout: no bundle given: five grouped folds of the table")
        with waiting("training on five grouped folds"):
            found = grouped_folds([table])[0]
        return found, None, catalogue([table]), None, ["predictions are out of fold (5 folds)"]
    opened = open_bundle(bundle)
    predictor = opened.predictor
    missing = [model for model in table.models if model not in predictor.models]
    if missing:
        raise ConfigError(
            f"{bundle} does not know {', '.join(missing[:3])}{' …' if len(missing) > 3 else ''} of "
            f"table {table.name}; train on a table that has them, or add them with turnout probe"
        )
    prompts = [request_text(row) for row in table.prompts]
    seen = predictor.seen(prompts)
    notes = []
    if seen:
        notes.append(
            f"{100 * seen:.0f} % of these prompts were trained on: figures on them are no evidence"
        )
    columns = [predictor.models.index(model) for model in table.models]
    success, strange = (part.astype(np.float64) for part in predictor.judge_all(prompts))
    known = opened.catalogue if _of(opened.catalogue, "mean_cost_usd") else catalogue([table])
    return success[:, columns], strange, known, opened, notes


def _of(known: Mapping[str, Mapping[str, float]], name: str) -> dict[str, float]:
    return {model: record[name] for model, record in known.items() if name in record}


def _pair(pair: str | None, table: "OutcomeTable") -> tuple[str, str] | None:
    if pair is None:
        return None
    names = [name.strip() for name in pair.split(",")]
    if len(names) != 2 or any(name not in table.models for name in names):
        raise ConfigError(f"--pair {pair!r}: give two of the table's models, WEAK,STRONG")
    return names[0], names[1]


def _show(report: "Report") -> None:
    print_table(
        f"{report.table}: {many(report.prompts, 'prompt')} x {report.models} models",
        (
            "policy",
            "quality",
            "$ / 1000",
            "saved vs best",
            "vs dearest",
            "over mixing",
            "oracle gap",
        ),
        [
            (
                row.name,
                _shown(row.quality, "{:.3f}"),
                _shown(row.usd_per_1000, "{:.3f}"),
                _shown(row.saving_vs_best, "{:.1%}"),
                _shown(row.saving_vs_dearest, "{:.1%}"),
                _shown(row.over_mixing, "{:+.3f}"),
                _shown(row.oracle_gap, "{:.3f}"),
            )
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
    """The value, and half of its 95 % interval; JSON has both ends."""
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

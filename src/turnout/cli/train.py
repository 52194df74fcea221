"""``turnout train``: classifiers from labelled rows, bundles from outcome tables."""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from turnout.cli.files import check_folder, prepare_target, write_whole
from turnout.cli.list_options import ListOptionsCommand
from turnout.cli.options import JsonOption, group
from turnout.cli.show import err, out, print_json, print_table
from turnout.cli.tables import TableOption, read_tables
from turnout.config import load_file
from turnout.core.plural import many

if TYPE_CHECKING:
    from turnout.evaluation.outcome_table import OutcomeTable
    from turnout.training.card import Part
    from turnout.training.intents import Trained

_MAX_SEED = 2**32 - 1

app = group("train", "Learn from labels and outcomes.")

EveryLicence = Annotated[
    bool,
    typer.Option("--every-licence", help="Also use rows whose licence forbids redistribution."),
]


RowsArgument = Annotated[
    list[Path], typer.Argument(help="JSONL of {text|messages, intent, source}.")
]
BaseOption = Annotated[
    Path | None,
    typer.Option("--artefact", help="The artefact to refit; by default the shipped one."),
]


@app.command()
def intents(
    paths: RowsArgument,
    out: Annotated[Path, typer.Option("--out", help="The file to write the artefact to.")],
    *,
    every_licence: EveryLicence = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Measure what these rows would gain.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Train the intent and safety classifier on labelled rows.

    Its figures are measured on held-out sources.
    """
    from turnout.training.intents import train as run

    prepare_target(out, paths, "artefact")
    with _bar() as bar:
        trained = run(
            paths,
            date=_today(),
            every_licence=every_licence,
            compare=compare,
            progress=_progress_callback(bar),
        )
    write_whole(out, trained.artefact.packed())
    _show(out, trained, json=json)


def _add_refit_command(part: "Part", help_text: str) -> None:
    """A command that fits one part of an artefact again."""

    @app.command(part, help=help_text)
    def refit_part(
        paths: RowsArgument,
        place: Annotated[Path, typer.Option("--out", help="The file to write the artefact to.")],
        *,
        base: BaseOption = None,
        every_licence: EveryLicence = False,
        json: JsonOption = False,
    ) -> None:
        from turnout.training.intents import refit

        prepare_target(place, paths, "artefact")
        with _bar() as bar:
            fitted = refit(
                part,
                paths,
                base=base,
                date=_today(),
                every_licence=every_licence,
                progress=_progress_callback(bar),
            )
        write_whole(place, fitted.packed())
        if json:
            print_json({"artefact": str(place), "digest": fitted.digest})
            return
        out.print(f"{place} {fitted.digest[:19]}")


_add_refit_command(
    "asides",
    """Refit the part that finds text addressed to the classifier.

    The rest of the artefact stays as it is, and so do its figures on ordinary prompts.
    """,
)
_add_refit_command(
    "follows",
    """Refit the part that tells a follow-up from a new task.

    The rest of the artefact stays as it is, and so do its figures on single prompts.
    """,
)


@app.command(cls=ListOptionsCommand)
def success(
    table: TableOption,
    *,
    bundle: Annotated[Path, typer.Option("--out", help="The folder to write the bundle into.")],
    seed: Annotated[
        int, typer.Option(min=0, max=_MAX_SEED, help="Seed of everything random in training.")
    ] = 0,
    config: Annotated[
        Path | None,
        typer.Option(help="turnout.yaml to keep in the bundle, without keys, with its prices."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Learn each model's P(success) from tables, as a bundle."""
    from turnout.training.bundle import write_bundle
    from turnout.training.success import train as fit

    kept_config = load_file(config) if config else None
    check_folder(bundle)
    tables = read_tables(table)
    _report_gaps(tables)
    with _bar() as progress:
        task = progress.add_task("starting", total=1.0)
        predictor = fit(
            tables,
            seed=seed,
            progress=lambda step, share: progress.update(task, description=step, completed=share),
        )
    digest = write_bundle(
        predictor, tables, bundle, seed=seed, config=kept_config, environ=os.environ
    )
    rows = sum(len(one.prompts) for one in tables)
    if json:
        print_json(
            {"bundle": str(bundle), "hash": digest, "rows": rows, "models": predictor.models}
        )
        return
    learned = len(predictor.models)
    out.print(
        f"{bundle}: {many(learned, 'model')} learned from {many(rows, 'prompt')}; {digest[:19]}"
    )
    if all(one.cost_usd is None for one in tables):
        err.print(
            "turnout: no table has costs, nor prices and token counts: quality only; add cost_usd, "
            "or tokens and price_per_mtok in the .meta.json beside the table"
        )


def _show(place: Path, trained: "Trained", *, json: bool) -> None:
    """Prints an artefact's figures on held-out sources, for usable licences and for all rows."""
    digest, measured, others = trained.artefact.digest, trained.figures, trained.every_licence
    if json:
        found = {"artefact": str(place), "digest": digest, "figures": measured.as_dict()}
        print_json({**found, "every_licence": others.as_dict() if others else None})
        return
    all_rows_figures = others.as_text() if others else {}
    rows = [
        [name, shown, all_rows_figures.get(name, "-")] for name, shown in measured.as_text().items()
    ]
    columns = ["figure on unseen sources", "this artefact", "all rows"]
    print_table(f"{place} {digest[:19]}", columns, rows)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _progress_callback(bar: Progress) -> Callable[[str, int, int], None]:
    """A function that shows a step of training: its name, and how much of it is done."""
    task = bar.add_task("reading", total=None)

    def show_step(step: str, done: int, total: int) -> None:
        bar.update(task, description=step, completed=done, total=total)

    return show_step


def _report_gaps(tables: "Sequence[OutcomeTable]") -> None:
    """Reports what the tables lack, before training takes its time."""
    from turnout.training.success import FEW_PROMPTS

    for one in tables:
        for note in one.notes:
            err.print(f"turnout: {one.name}: {note}")
        answered = one.answered()
        scored, count = answered.models, len(answered.prompts)
        if count < FEW_PROMPTS:
            err.print(
                f"turnout: {one.name}: only {many(count, 'prompt')} with scores: predictions stay "
                f"near the models' means; give {FEW_PROMPTS} or more"
            )
        if unscored := [model for model in one.models if model not in scored]:
            err.print(
                f"turnout: {one.name}: without any score, predicted as the mean of all: "
                f"{', '.join(unscored)}"
            )


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=err,
        disable=not err.is_terminal,
    )  # fmt: skip

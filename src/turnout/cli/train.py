"""``turnout train``: makes classifier artefacts from labelled rows."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from turnout.cli.options import JsonOption, err, print_json, print_table
from turnout.core import ConfigError

train = typer.Typer(help="Train the classifiers on labelled rows.", no_args_is_help=True)


@train.callback()
def _group() -> None:
    """Keeps ``intents`` a command of its own while it is the only one."""


@train.command()
def intents(
    paths: Annotated[list[Path], typer.Argument(help="JSONL of {text|messages, intent, source}.")],
    out: Annotated[Path, typer.Option("--out", help="Where the artefact goes.")],
    *,
    every_licence: Annotated[
        bool, typer.Option("--every-licence", help="Use rows that may not be given away, too.")
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Measure what those rows would bring.")
    ] = False,
    json: JsonOption = False,
) -> int:
    """Train the intent and safety classifier; figures are on sources held out."""
    try:
        from turnout.training.intents import train as run
    except ImportError as error:
        raise ConfigError(f"training needs {error.name}: pip install 'turnout[train]'") from error
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=err,
        disable=not err.is_terminal,
    ) as bar:
        task = bar.add_task("reading", total=None)

        def shown(step: str, done: int, total: int) -> None:
            bar.update(task, description=step, completed=done, total=total)

        trained = run(
            paths,
            out,
            date=datetime.now(UTC).date().isoformat(),
            every_licence=every_licence,
            compare=compare,
            progress=shown,
        )
    found = {"artefact": str(out), "digest": trained.artefact.digest}
    measured = trained.figures.as_dict()
    others = trained.every_licence.as_dict() if trained.every_licence else None
    if json:
        print_json({**found, "figures": measured, "every_licence": others})
    else:
        rows = [
            [name.replace("_", " "), f"{value:.3f}", f"{others[name]:.3f}" if others else "-"]
            for name, value in measured.items()
        ]
        print_table(
            f"{out} {trained.artefact.digest[:19]}",
            ["figure on unseen sources", "this artefact", "all rows"],
            rows,
        )
    return 0

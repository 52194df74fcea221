"""``turnout train success``: a bundle from outcome tables."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from turnout.cli.options import JsonOption, err, out, print_json

app = typer.Typer(help="Learn from outcomes.", no_args_is_help=True)

TableOption = Annotated[
    list[Path],
    typer.Option(
        "--table",
        help="An outcome table: the common prefix of .npz, .prompts.jsonl.gz and .meta.json, or "
        "one .parquet or .jsonl file. Repeat for several.",
    ),
]


@app.callback()
def train() -> None:
    """Learn from outcomes."""


@app.command()
def success(
    table: TableOption,
    *,
    bundle: Annotated[Path, typer.Option("--out", help="The folder to write the bundle into.")],
    seed: Annotated[int, typer.Option(help="Seed of everything random in training.")] = 0,
    json: JsonOption = False,
) -> None:
    """Train P(success) for every model of the tables, and write a bundle."""
    from turnout.evaluation.table_files import read_table
    from turnout.training.bundle import write_bundle
    from turnout.training.success import train as fit

    tables = [read_table(path) for path in table]
    for one in tables:
        for note in one.notes:
            err.print(f"turnout: {one.name}: {note}", markup=False)
    with _bar() as progress:
        task = progress.add_task("starting", total=1.0)
        predictor = fit(
            tables,
            seed=seed,
            progress=lambda step, share: progress.update(task, description=step, completed=share),
        )
    digest = write_bundle(predictor, tables, bundle, seed=seed)
    rows = sum(len(one.prompts) for one in tables)
    if json:
        print_json(
            {"bundle": str(bundle), "hash": digest, "rows": rows, "models": predictor.models}
        )
        return
    out.print(
        f"{bundle}: {len(predictor.models)} models learned from {rows:,} prompts; {digest[:19]}",
        markup=False,
        highlight=False,
    )
    if all(one.cost_usd is None for one in tables):
        err.print(
            "turnout: no table has prices or costs: quality only; policies that weigh cost need "
            "prices in turnout.yaml",
            markup=False,
        )


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=err,
        disable=not err.is_terminal,
    )  # fmt: skip

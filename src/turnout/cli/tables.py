"""Outcome tables as given by options."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from turnout.core import ConfigError

if TYPE_CHECKING:
    from turnout.evaluation import OutcomeTable

TableOption = Annotated[
    list[Path],
    typer.Option(
        "--table",
        help="An outcome table: the common prefix of .npz, .prompts.jsonl.gz and .meta.json, or "
        "one .parquet or .jsonl file; one or several.",
    ),
]


def read_tables(paths: Sequence[Path]) -> "list[OutcomeTable]":
    """The tables, in order. Raises ConfigError if one cannot be used or is given twice."""
    from turnout.evaluation import read_table

    resolved = [path.resolve() for path in paths]
    repeated = [
        str(path)
        for path, path_resolved in zip(paths, resolved, strict=True)
        if resolved.count(path_resolved) > 1
    ]
    if repeated:
        raise ConfigError(f"--table {repeated[0]} is given twice; its rows would count double")
    return [read_table(path) for path in paths]

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

    places = [path.resolve() for path in paths]
    twice = [str(path) for path, at in zip(paths, places, strict=True) if places.count(at) > 1]
    if twice:
        raise ConfigError(f"--table {twice[0]} is given twice; its rows would count double")
    return [read_table(path) for path in paths]

"""The conditions that an outcome table must meet to be trained on.

Every problem is a ConfigError that names the table, the row and the fix.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from turnout.core import ConfigError
from turnout.core.arrays import Doubles
from turnout.core.plural import many
from turnout.evaluation.outcome_table import OutcomeTable
from turnout.features.prompt import row_text

CELLS = ("input_tokens", "output_tokens", "cost_usd", "latency_ms")
# Sums of larger numbers may overflow; no call has such a count, cost in USD or time in ms.
MOST = 1e12


def checked_table(table: OutcomeTable) -> OutcomeTable:
    """The table itself if it can be trained on; otherwise raises ConfigError."""
    where = f"table {table.name}"
    if not table.prompts:
        raise ConfigError(f"{where}: no rows; give at least a few prompts with scores")
    if np.isnan(table.score).all():
        raise ConfigError(f"{where}: no scores; fill the score column with 0..1")
    if len(table.models) < 2:
        raise ConfigError(
            f"{where}: one model ({table.models[0]}); a choice needs outcomes of at least 2"
        )
    if nameless := [n for n, model in enumerate(table.models, 1) if not model.strip()]:
        raise ConfigError(f"{where}: the model of column {nameless[0]} has no name; name it")
    _check_unique(table.ids, f"{where}: duplicate id", "rows", "give every prompt its own id")
    _check_unique(table.models, f"{where}: duplicate model", "columns", "name every column once")
    low, high = float(np.nanmin(table.score)), float(np.nanmax(table.score))
    wrong = (table.score < 0) | (table.score > 1)
    _check_cells(table, "the score", table.score, wrong, "rescale the scores to 0..1")
    if low == high:
        raise ConfigError(
            f"{where}: no variance, every score is {low:g}; add rows where the models differ"
        )
    grids = _copied_grids(table)
    for name, grid in grids.items():
        fix = f"use a number from 0 to {MOST:g}, or NaN where it is unknown"
        _check_cells(table, name, grid, (grid < 0) | (grid > MOST), fix)
    # A column without any known value counts as missing.
    changes: dict[str, Any] = {n: None for n, g in grids.items() if np.isnan(g).all()}
    return replace(table, notes=(*table.notes, *_empty_prompt_notes(table)), **changes)


def _empty_prompt_notes(table: OutcomeTable) -> list[str]:
    """Says how many rows have nothing to read, and which is the first."""
    empty = [n for n, row in enumerate(table.prompts, 1) if not row_text(row).text.strip()]
    if not empty:
        return []
    named = f"row {empty[0]} ({table.ids[empty[0] - 1]})"
    what = f"{many(len(empty), 'prompt')} without query, prompt or messages"
    return [f"{what} (first: {named}): read as empty"]


def _check_cells(
    table: OutcomeTable, name: str, grid: Doubles, wrong: npt.NDArray[np.bool_], fix: str
) -> None:
    """Raises ConfigError, which names the first wrong cell, if there is one."""
    for row, column in np.argwhere(wrong):
        raise ConfigError(
            f"table {table.name}, row {row + 1} ({table.ids[row]}): {name} of "
            f"{table.models[column]} is {grid[row, column]:g}; {fix}"
        )


def counted_tokens(tokens: Doubles) -> Doubles:
    """Token counts, NaN where nobody counted: they are integers, and 0 where unknown."""
    return np.where(tokens == 0, np.nan, tokens)


def join_halves(table: OutcomeTable) -> OutcomeTable:
    """The table with rows of one id and one text joined where no outcome is told twice.

    Raises ConfigError naming both rows where an id stands for two prompts or two outcomes.
    """
    first: dict[str, int] = {}
    halves: dict[int, int] = {}
    for row, key in enumerate(table.ids):
        if first.setdefault(key, row) != row:
            halves[row] = first[key]
    if not halves:
        return table
    score, cells = table.score.copy(), _copied_grids(table)
    for row, kept in halves.items():
        in_both = ~np.isnan(score[row]) & ~np.isnan(score[kept])
        if in_both.any() or row_text(table.prompts[row]) != row_text(table.prompts[kept]):
            raise ConfigError(
                f"table {table.name}: duplicate id {table.ids[row]!r} in rows {kept + 1} and "
                f"{row + 1}; give every prompt its own id"
            )
        answered = ~np.isnan(score[row])
        score[kept, answered] = score[row, answered]
        for grid in cells.values():
            grid[kept, answered] = grid[row, answered]
    keep = [row for row in range(len(table.prompts)) if row not in halves]
    note = f"joined {many(len(halves), 'row')} with the other half of their outcomes"
    changes: dict[str, Any] = dict(cells)
    joined = replace(table, score=score, notes=(*table.notes, note), **changes)
    return joined.rows(keep)


def _copied_grids(table: OutcomeTable) -> dict[str, Doubles]:
    grids = {name: getattr(table, name) for name in CELLS}
    return {name: grid.copy() for name, grid in grids.items() if grid is not None}


def _check_unique(names: Sequence[str], problem: str, places: str, fix: str) -> None:
    seen: dict[str, int] = {}
    for place, name in enumerate(names, 1):
        if name in seen:
            raise ConfigError(f"{problem} {name!r} in {places} {seen[name]} and {place}; {fix}")
        seen[name] = place

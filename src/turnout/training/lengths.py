"""Learns the lengths of answers from the token counts of outcome tables."""

from collections.abc import Sequence

import numpy as np

from turnout.classifiers.success.lengths import LEVELS, Lengths, length_marks
from turnout.core.arrays import Doubles
from turnout.evaluation.outcome_table import OutcomeTable
from turnout.features.prompt import row_text

_RIDGE = 20.0
_SHRINK = 5.0
_FEWEST = 20


def fit_lengths(tables: Sequence[OutcomeTable]) -> Lengths | None:
    """Lengths of every model with at least 20 counted answers; None if there is none."""
    tables_with_counts = [table for table in tables if table.output_tokens is not None]
    models, tokens, marks = _token_table(tables_with_counts)
    if not models:
        return None
    known = ~np.isnan(tokens)
    medians = np.nanmedian(tokens, axis=0)
    departures = np.where(known, tokens - medians, 0.0)
    rows = np.maximum(1, known.sum(axis=1))
    levels = departures.sum(axis=1) / rows
    centre, scale = marks.mean(axis=0), marks.std(axis=0) + 1e-6
    inputs = (marks - centre) / scale
    offset = float(levels.mean())
    gram = inputs.T @ inputs + _RIDGE * np.eye(inputs.shape[1])
    weights = np.linalg.solve(gram, inputs.T @ (levels - offset))
    low, high = np.quantile(inputs @ weights + offset, [0.005, 0.995]).tolist()
    fitted_levels = np.clip(inputs @ weights + offset, low, high)
    # A model with few answers moves little with the level.
    moved = (departures * fitted_levels[:, None]).sum(axis=0)
    slopes = moved / ((known * fitted_levels[:, None] ** 2).sum(axis=0) + _SHRINK)
    residuals = np.where(known, tokens - medians - fitted_levels[:, None] * slopes, np.nan)
    return Lengths(
        models=models,
        centre=centre,
        scale=scale,
        weights=weights,
        offset=offset,
        span=(low, high),
        medians=medians,
        slopes=slopes,
        residuals=np.nanquantile(residuals, LEVELS, axis=0).T,
    )


def _token_table(tables: Sequence[OutcomeTable]) -> tuple[tuple[str, ...], Doubles, Doubles]:
    """Models with counts, log tokens ``[n, m]`` with NaN, and marks ``[n, marks]``."""
    names = tuple(dict.fromkeys(model for table in tables for model in table.models))
    parts, marks = [], []
    for table in tables:
        assert table.output_tokens is not None  # noqa: S101 - narrows the type, see the caller
        part = np.full((len(table.prompts), len(names)), np.nan)
        part[:, [names.index(m) for m in table.models]] = np.log(np.maximum(1, table.output_tokens))
        parts.append(part)
        marks += [length_marks(row_text(row)) for row in table.prompts]
    if not parts:
        return (), np.empty((0, 0)), np.empty((0, 0))
    tokens, inputs = np.vstack(parts), np.array(marks)
    some = ~np.isnan(tokens).all(axis=1)
    tokens, inputs = tokens[some], inputs[some]
    enough = (~np.isnan(tokens)).sum(axis=0) >= _FEWEST
    kept = tuple(name for name, is_enough in zip(names, enough.tolist(), strict=True) if is_enough)
    tokens = tokens[:, enough]
    some = ~np.isnan(tokens).all(axis=1)
    return kept, tokens[some], inputs[some]

"""Predictions for every row of a table by predictors that never saw the row's question.

Folds are grouped: rows that share a ``bucket`` (else a text) are in one fold, also across the
tables that are trained on together. Only the folds read the bucket, never a predictor.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from turnout.core import ConfigError
from turnout.core.arrays import Doubles
from turnout.core.plural import many
from turnout.core.text_digest import text_digest
from turnout.evaluation.outcome_table import OutcomeTable
from turnout.features.prompt import row_text
from turnout.training.success import SMALLEST_TABLE, train


def grouped_folds(tables: Sequence[OutcomeTable], *, folds: int = 5) -> list[Doubles]:
    """``[n, m]`` for each table, from predictors trained on all tables' other folds.

    Raises ConfigError if a fold leaves too few prompts of a table to learn from.
    """
    return [success for success, _ in grouped_folds_with_strangeness(tables, folds=folds)]


def grouped_folds_with_strangeness(
    tables: Sequence[OutcomeTable], *, folds: int = 5
) -> list[tuple[Doubles, Doubles]]:
    """The same, and how strange each prompt was ``[n]`` to the predictor that never saw it."""
    places = [row_folds(table, folds) for table in tables]
    for table, place in zip(tables, places, strict=True):
        _check_size(table, place)
    found = [(np.zeros(table.score.shape), np.zeros(len(table.prompts))) for table in tables]
    for fold in range(folds):
        kept = [t.rows(p != fold) for t, p in zip(tables, places, strict=True)]
        predictor = train(kept)
        for table, place, (success, strange) in zip(tables, places, found, strict=True):
            rows = np.flatnonzero(place == fold)
            columns = [predictor.models.index(model) for model in table.models]
            prompts = [row_text(table.prompts[row]) for row in rows]
            predicted, strange[rows] = predictor.predict_all_with_strangeness(prompts)
            success[rows] = predicted[:, columns]
    return found


def _check_size(table: OutcomeTable, place: npt.NDArray[np.int64]) -> None:
    answered = place[~np.isnan(table.score).all(axis=1)]
    left = len(answered) - int(np.bincount(answered).max(initial=0))
    if 0 < left < SMALLEST_TABLE:  # of one text for all rows the training says more
        raise ConfigError(
            f"table {table.name}: too small for folds, one of which leaves "
            f"{many(left, 'prompt')} with scores to learn from; at least {SMALLEST_TABLE} are "
            "needed: give more rows, or a bundle that was trained on others"
        )


def row_folds(table: OutcomeTable, folds: int = 5) -> npt.NDArray[np.int64]:
    """Each row's fold, by its bucket if it has one, else by its text.

    If the buckets leave a fold empty (as those of one fold of a larger table do) or are not
    numbers, they are dealt out in turn; if there are too few of them, the texts are.
    """
    texts = [row_text(row).text for row in table.prompts]
    buckets = [b if _has_bucket(b) else None for b in table.column("bucket")]
    if not any(isinstance(b, str) for b in buckets):
        keys = [
            _number_of_text(text) if b is None else int(b)
            for b, text in zip(buckets, texts, strict=True)
        ]
        place = np.array(keys, dtype=np.int64) % folds
        if len(np.unique(place)) == folds:
            return place
    groups = [text if b is None else str(b) for b, text in zip(buckets, texts, strict=True)]
    return _dealt_in_turn(groups if len(set(groups)) >= folds else texts, folds)


def _has_bucket(bucket: object) -> bool:
    """Whether the row has a bucket: an incomplete column is read with NaN."""
    return isinstance(bucket, int | str) or (isinstance(bucket, float) and np.isfinite(bucket))


def _dealt_in_turn(groups: Sequence[str], folds: int) -> npt.NDArray[np.int64]:
    # From the last fold on, so that with a single group the first fold reports the error.
    turn = {group: folds - 1 - number for number, group in enumerate(sorted(set(groups)))}
    return np.array([turn[group] for group in groups], dtype=np.int64) % folds


def _number_of_text(text: str) -> int:
    return int.from_bytes(text_digest(text, 7), "big")

"""Folds by source: a head is never judged on a source that it was trained on."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from turnout.training.rows import MADE, Row

FOLDS = 6


def folds_by_source(rows: Sequence[Row], folds: int = FOLDS) -> NDArray[np.int64]:
    """The fold of every row; a source is in one fold, an intent's sources spread over all.

    Sources are dealt out largest first, one intent after the other, which needs no randomness.
    Rows made from other rows do not count, so that their number does not change the folds.
    """
    intents: dict[str, Counter[str]] = {row.source: Counter() for row in rows}
    for row in rows:
        if row.kind != MADE:
            intents[row.source][str(row.intent)] += 1
    sizes = {source: counted.total() for source, counted in intents.items()}
    majority = {s: next((i for i, _ in c.most_common(1)), "") for s, c in intents.items()}
    place: dict[str, int] = {}
    for start, intent in enumerate(sorted(set(majority.values()))):
        sources = sorted((s for s in sizes if majority[s] == intent), key=lambda s: (-sizes[s], s))
        place |= {source: (start + i) % folds for i, source in enumerate(sources)}
    return np.array([place[row.source] for row in rows])


def row_weights(
    rows: Sequence[Row], labels: Sequence[object], power: float = 0.5
) -> NDArray[np.float64]:
    """Weight of every row: a source counts by its size to ``1 - power``, classes likewise."""
    pairs = list(zip((row.source for row in rows), labels, strict=True))
    sizes = Counter(pairs)
    out = np.array([sizes[pair] ** -power for pair in pairs])
    totals = {label: out[[value == label for value in labels]].sum() for label in set(labels)}
    out *= np.array([(out.sum() / totals[label]) ** power for label in labels])
    return np.asarray(out / out.mean())

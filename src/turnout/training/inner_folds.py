"""Folds inside the training rows: random ones, and ones that leave out whole kinds of prompts.

Invariant: equal texts share a fold, and only texts and embeddings are read, so that no task name
can influence the tuning.
"""

from collections.abc import Sequence

import numpy as np

from turnout.core.arrays import Floats, Ints
from turnout.core.text_digest import text_digest

Folds = list[tuple[Ints, Ints]]

_FOLDS = 4
_KINDS = 6


def random_folds(texts: Sequence[str], seed: int, count: int = _FOLDS) -> Folds:
    """Train and test rows of ``count`` folds, by a hash of the text."""
    lots = [text_digest(f"{seed}\n{text}", 8) for text in texts]
    place = np.array([int.from_bytes(lot, "big") % count for lot in lots])
    return _split(place, count)


def group_folds(places: Floats, seed: int) -> Folds:
    """Folds that keep each of six kinds of prompts (k-means on their embeddings) whole."""
    kind = _kinds(places, min(_KINDS, max(2, len(places) // 10)), seed)
    sizes = np.bincount(kind)
    load, place = np.zeros(_FOLDS), np.zeros(len(sizes), np.int64)
    for number in np.argsort(-sizes):
        place[number] = int(load.argmin())
        load[place[number]] += sizes[number]
    return _split(place[kind], _FOLDS)


def _split(place: Ints, count: int) -> Folds:
    folds = [(np.flatnonzero(place != f), np.flatnonzero(place == f)) for f in range(count)]
    return [fold for fold in folds if len(fold[0]) and len(fold[1])]


def _kinds(places: Floats, count: int, seed: int) -> Ints:
    """Lloyd's k-means on the sphere, from seeded starting points."""
    random = np.random.default_rng(seed)
    centres = places[random.choice(len(places), count, replace=False)]
    kind = np.zeros(len(places), np.int64)
    for _ in range(20):
        kind = np.argmax(places @ centres.T, axis=1)
        for number in range(count):
            members = places[kind == number]
            if len(members):
                centre = members.sum(axis=0)
                centres[number] = centre / (np.linalg.norm(centre) + 1e-9)
    return kind

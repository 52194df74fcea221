"""Fits the smooth members of an expert, and computes their targets: departures from means."""

from collections.abc import Sequence

import numpy as np

from turnout.classifiers.success.encoding import asks_for_calls, marks_of
from turnout.classifiers.success.smooth import Neighbours, Smooth, linear_inputs, places
from turnout.core.arrays import Floats
from turnout.training.gaps import with_expected_outcomes
from turnout.training.inner_folds import random_folds

_RIDGE = 20.0
_NEIGHBOURS = 80
_MAX_NEIGHBOUR_ROWS = 3000
_FOLDS = 8
_MOSTLY_CALLS = 0.5


def fit_smooth(encoded: Floats, score: Floats, seed: int) -> Smooth:
    """The linear member and the neighbours of a table: ``encoded [n, width]``, ``score [n, m]``."""
    marks = marks_of(encoded)
    centre, scale = marks.mean(axis=0), marks.std(axis=0) + 1e-6
    return Smooth(
        centre=centre,
        scale=scale,
        coefficients=_ridge(linear_inputs(encoded, centre, scale), score),
        neighbours=_neighbours(
            places(encoded, centre, scale), departures(score), seed, of_calls=of_calls(encoded)
        ),
    )


def out_of_fold_departures(
    texts: Sequence[str], encoded: Floats, score: Floats, seed: int
) -> Floats:
    """The smooth members' predictions for each row ``[2, n, m]`` without having seen it."""
    found = np.zeros((2, *score.shape), np.float32)
    for train_rows, test_rows in random_folds(texts, seed, _FOLDS):
        fitted = fit_smooth(encoded[train_rows], score[train_rows], seed)
        found[:, test_rows] = fitted.departures_and_closeness(encoded[test_rows])[0]
    return found


def of_calls(encoded: Floats) -> bool:
    """Whether a table is mostly of tool calls."""
    return bool(asks_for_calls(encoded).mean() > _MOSTLY_CALLS)


def departures(score: Floats) -> Floats:
    """How far each outcome lies from its model's mean.

    A missing one is assumed to depart as the others in its row do.
    """
    departed = score - model_means(score)
    known = ~np.isnan(score)
    level = np.nansum(departed, axis=1) / np.maximum(1, known.sum(axis=1))
    return np.where(known, departed, level[:, None]).astype(np.float32)


def model_means(score: Floats) -> Floats:
    """Each model's mean score over all prompts; the mean of all if it has no outcome.

    Prompts without its outcome count with the expected one, so that a model which answered only
    easy ones has no advantage.
    """
    full = with_expected_outcomes(score)
    # Two pseudo-outcomes at the overall mean keep a barely tried model off 0 and 1.
    return np.asarray((full.sum(axis=0) + 2 * full.mean()) / (len(full) + 2), dtype=np.float32)


def _neighbours(places_kept: Floats, target: Floats, seed: int, *, of_calls: bool) -> Neighbours:
    """At most ``_MAX_NEIGHBOUR_ROWS`` rows, drawn evenly: more would cost more time than they help.

    The forest and the linear member learn from every row.
    """
    count = len(places_kept)
    if count > _MAX_NEIGHBOUR_ROWS:
        kept = np.sort(
            np.random.default_rng(seed).choice(count, _MAX_NEIGHBOUR_ROWS, replace=False)
        )
        places_kept, target = places_kept[kept], target[kept]
    return Neighbours(
        places=places_kept,
        departures=target,
        count=min(_NEIGHBOURS, max(10, len(target) // 8)),
        of_calls=of_calls,
    )


def _ridge(inputs: Floats, score: Floats) -> Floats:
    """``[width, m]``: ridge regression of the departures, each model on its own rows."""
    target, known = departures(score), ~np.isnan(score)
    coefficients = np.empty((inputs.shape[1], score.shape[1]), np.float32)
    penalty = np.full(inputs.shape[1], _RIDGE)
    penalty[-1] = 1e-3
    patterns, which = np.unique(known, axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        rows, columns = patterns[:, number], np.flatnonzero(which.ravel() == number)
        x = inputs[rows].astype(np.float64)
        gram = x.T @ x + np.diag(penalty)
        coefficients[:, columns] = np.linalg.solve(gram, x.T @ target[np.ix_(rows, columns)])
    return coefficients

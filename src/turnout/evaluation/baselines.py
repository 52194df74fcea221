"""Oracles as predictions on an outcome table: the upper bounds that routers are compared with.

An oracle reads the outcomes, which no router can.
"""

from collections.abc import Sequence

import numpy as np

from turnout.core.arrays import Doubles
from turnout.evaluation.outcome_table import known_means


def task_oracle(score: Doubles, tasks: Sequence[object]) -> Doubles:
    """Each model's true mean score on the row's task, NaN where it answered none of it."""
    names = np.array([str(task) for task in tasks])
    expected = np.empty_like(score)
    for name in np.unique(names):
        rows = names == name
        expected[rows] = known_means(score[rows])
    return expected


def oracle(score: Doubles) -> Doubles:
    """The outcomes themselves, a missing one as a failure."""
    return np.nan_to_num(score, nan=0.0)

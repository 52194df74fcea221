"""The label after the last turn: decides whether each turn continues the task before it or not.

This module does not know how turns are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from turnout.classifiers.encoder import DIMENSIONS
from turnout.classifiers.heads import geometric_mean, logistic
from turnout.core.arrays import Floats

# The weight of the answer in a label, against that of the question. More changes right labels.
_CONTEXT_WEIGHT = 0.2
# Factors that give all columns one range, so that regularisation treats them alike.
_LIKENESS_SCALE, _PRODUCT_SCALE, _LENGTH_SCALE = 3.0, 20.0, 1 / 3
_TINY = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """The user's turns as both stages read them, oldest first, and the texts between them.

    ``turn_vectors`` holds a unit vector for each turn, ``context_vectors`` one for the text between
    each turn and the turn before it; ``turn_intents`` and ``context_intents`` are their
    distributions over intents. ``turn_intents`` may have further intents after those of
    ``context_intents``.
    """

    texts: Sequence[str]
    turn_vectors: Floats
    turn_intents: Floats
    context_vectors: Floats
    context_intents: Floats

    def continued_intents(self, prior: Floats, i: int) -> Floats:
        """The distribution after turn ``i`` if it continues a task with the intents ``prior``."""
        return geometric_mean(prior, self.context_intents[i - 1], _CONTEXT_WEIGHT)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUpHead:
    """A linear head over the features of turn and task; see ``follow_up_columns``."""

    weights: Floats
    bias: float

    def final_intents(self, turns: Turns) -> Floats:
        """The distribution after the last of at least one turn."""
        current: Floats = turns.turn_intents[0]
        for i in range(1, len(turns.texts)):
            continued = turns.continued_intents(current, i)
            odds = follow_up_columns(turns, i, continued) @ self.weights + self.bias
            follow_share = logistic(odds)
            current = follow_share * continued + (1 - follow_share) * turns.turn_intents[i]
        return current


def column_count(intents: int) -> int:
    """The number of ``follow_up_columns`` for a number of intents."""
    return 2 * DIMENSIONS + 5 + 2 * intents


def follow_up_columns(turns: Turns, i: int, task_intents: Floats) -> Floats:
    """The features that show whether turn ``i`` continues a task with the intents ``task_intents``.

    The turn's vector, and its product with that of the text before it; the turn's length on a log
    scale, and the likeness of the two vectors; the probability of the turn's own best intent, the
    agreement of its intents with the held ones, and the turn's probability of the best held one;
    its own intents and the held ones.
    """
    turn_vector, context_vector = turns.turn_vectors[i], turns.context_vectors[i - 1]
    intents = turns.context_intents.shape[1]
    own_intents, task_intents = turns.turn_intents[i][:intents], task_intents[:intents]
    shares = np.array(
        [own_intents.max(), own_intents @ task_intents, own_intents[task_intents.argmax()]]
    )
    return np.concatenate(
        [
            turn_vector,
            _PRODUCT_SCALE * turn_vector * context_vector,
            [
                _LENGTH_SCALE * np.log1p(len(turns.texts[i])),
                _LIKENESS_SCALE * (turn_vector @ context_vector),
            ],
            np.log(shares + _TINY),
            np.sqrt(own_intents),
            np.sqrt(task_intents),
        ]
    ).astype(np.float32)

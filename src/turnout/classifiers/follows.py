"""The label after the last turn: decides whether each turn continues the task before it or not.

This module does not know how turns are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from turnout.classifiers.encoder import DIMENSIONS
from turnout.classifiers.heads import joined, logistic
from turnout.core.arrays import Floats

# The weight of the answer in a label, against that of the question. More changes right labels.
_ANSWERED = 0.2
# Factors that give all columns one range, so that regularisation treats them alike.
_LIKENESS, _PRODUCT, _LENGTH = 3.0, 20.0, 1 / 3
_TINY = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """The user's turns as both stages read them, oldest first, and the texts between them.

    ``said`` holds a unit vector for each turn, ``before`` one for the text between each turn and
    the turn before it; ``each`` and ``answered`` are their distributions over intents. ``each`` may
    have further intents after those of ``answered``.
    """

    texts: Sequence[str]
    said: Floats
    each: Floats
    before: Floats
    answered: Floats

    def going_on(self, held: Floats, i: int) -> Floats:
        """The distribution after turn ``i`` if it continues a task with the intents ``held``."""
        return joined(held, self.answered[i - 1], _ANSWERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Follows:
    """A linear head over the features of turn and task; see ``columns``."""

    weights: Floats
    bias: float

    def after(self, turns: Turns) -> Floats:
        """The distribution after the last of at least one turn."""
        held: Floats = turns.each[0]
        for i in range(1, len(turns.texts)):
            going_on = turns.going_on(held, i)
            odds = columns(turns, i, going_on) @ self.weights + self.bias
            follows = logistic(odds)
            held = follows * going_on + (1 - follows) * turns.each[i]
        return held


def width(intents: int) -> int:
    """The number of ``columns`` for a number of intents."""
    return 2 * DIMENSIONS + 5 + 2 * intents


def columns(turns: Turns, i: int, held: Floats) -> Floats:
    """The features that show whether turn ``i`` continues a task with the intents ``held``.

    The turn's vector, and its product with that of the text before it; the turn's length on a log
    scale, and the likeness of the two vectors; the probability of the turn's own best intent, the
    agreement of its intents with the held ones, and the turn's probability of the best held one;
    its own intents and the held ones.
    """
    said, before = turns.said[i], turns.before[i - 1]
    intents = turns.answered.shape[1]
    own, held = turns.each[i][:intents], held[:intents]
    shares = np.array([own.max(), own @ held, own[held.argmax()]])
    return np.concatenate(
        [
            said,
            _PRODUCT * said * before,
            [_LENGTH * np.log1p(len(turns.texts[i])), _LIKENESS * (said @ before)],
            np.log(shares + _TINY),
            np.sqrt(own),
            np.sqrt(held),
        ]
    ).astype(np.float32)

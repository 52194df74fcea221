"""The label after the last turn: whether each turn goes on with the task before it, or begins one.

This module does not know how turns are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from turnout.classifiers.encoder import DIMENSIONS
from turnout.classifiers.heads import joined, logistic
from turnout.core.arrays import Floats

# How much of a label what was answered tells, beside what was asked. More changes right labels.
_ANSWERED = 0.2
# Columns of one range: regularisation holds all back alike.
_LIKENESS, _PRODUCT, _LENGTH = 3.0, 20.0, 1 / 3
_TINY = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """The user's turns as both stages read them, oldest first, and what was said between them.

    ``said`` and ``before`` are unit vectors of the turns, and of what was said since the turn
    before each but the first; ``each`` and ``answered`` their distributions over intents. Behind
    the intents that ``answered`` has, ``each`` may have others.
    """

    texts: Sequence[str]
    said: Floats
    each: Floats
    before: Floats
    answered: Floats

    def going_on(self, held: Floats, i: int) -> Floats:
        """The distribution after turn ``i`` if it goes on with what is ``held`` before it."""
        return joined(held, self.answered[i - 1], _ANSWERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Follows:
    """A linear head over what turn and task are like; see ``columns``."""

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
    """How many ``columns`` there are for so many intents."""
    return 2 * DIMENSIONS + 5 + 2 * intents


def columns(turns: Turns, i: int, held: Floats) -> Floats:
    """What tells whether turn ``i`` goes on with a task of the intents ``held``.

    Its vector, and its product with that of what was said; its length on a log scale and the
    likeness of the two; how sure an intent it has by itself, and which; which is held, how much the
    two agree, and how much of the held one the turn has.
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

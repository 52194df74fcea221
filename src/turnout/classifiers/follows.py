"""Whether a turn goes on with the task of the turns before it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from turnout.classifiers.heads import logistic
from turnout.core.arrays import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Follows:
    """A linear head over a turn's embedding, its length, and its likeness to what was said."""

    weights: Floats
    bias: float

    def probabilities(self, turns: Sequence[str], said: Floats, before: Floats) -> Floats:
        """One value a turn; ``said`` and ``before`` are unit vectors of turns and contexts."""
        return logistic(inputs(turns, said, before) @ self.weights + self.bias)


def inputs(turns: Sequence[str], said: Floats, before: Floats) -> Floats:
    """The head's columns: the turn's vector, its length on a log scale, the likeness."""
    length = np.array([[np.log1p(len(turn)) / 3] for turn in turns], dtype=np.float32)
    likeness = 3 * (said * before).sum(axis=1, keepdims=True)
    return np.hstack([said, length, likeness]).astype(np.float32)

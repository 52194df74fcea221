"""Linear heads over an embedding: logits to calibrated probabilities.

Does not know what is embedded or what a block is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of several labels: softmax over ``x @ weights + bias``, calibrated by training."""

    weights: Floats
    bias: Floats

    def probabilities(self, x: Floats) -> Floats:
        """Rows that sum to one, a column a label."""
        logits = x @ self.weights + self.bias
        logits -= logits.max(axis=1, keepdims=True)
        raised = np.exp(logits)
        rows: Floats = raised / raised.sum(axis=1, keepdims=True)
        return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A yes or no in [0, 1]: the logistic function of ``x @ weights + bias``."""

    weights: Floats
    bias: float

    def values(self, x: Floats) -> Floats:
        """One value a row."""
        out: Floats = 1.0 / (1.0 + np.exp(-(x @ self.weights + self.bias)))
        return out

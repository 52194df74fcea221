"""Linear heads: from a text's table rows or embedding to log-odds, one column per output.

This module does not know what the outputs mean.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from turnout.core.arrays import Floats, Rows

Real = TypeVar("Real", bound="np.floating[Any]")

_TINY = 1e-30
# So many numbers in half precision are widened faster all at once.
_MANY = 2**12


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The first stage: a weighted mean of table rows, weights by rarity (TF-IDF, unit length).

    ``rarity`` is zero for rows that training never saw; ``weights`` has a column per output.
    """

    rarity: Floats
    weights: Floats
    bias: Floats

    @classmethod
    def of_arrays(cls, rarity: Any, weights: Any, bias: Any) -> Self:
        """The table from an artefact's arrays."""
        return cls(
            rarity=rarity.astype(np.float32),
            weights=weights,
            bias=np.asarray(bias, dtype=np.float32),
        )

    def outputs_of_all(self, rows: Rows, starts: Rows) -> Floats:
        """As ``outputs`` for texts whose rows begin at ``starts``; each has at least one."""
        rarity = self.rarity.take(rows)
        weights = _widened(self.weights.take(rows, axis=0))
        weights *= rarity[:, None]
        out: Floats = np.add.reduceat(weights, starts, axis=0)
        rarity *= rarity
        length = np.sqrt(np.add.reduceat(rarity, starts))
        out /= np.maximum(length, _TINY)[:, None]
        out += self.bias
        return out

    def known_shares(self, rows: Rows, starts: Rows) -> Floats:
        """The share of each text's rows that training saw."""
        seen = np.add.reduceat(self.rarity.take(rows) > 0.0, starts, dtype=np.float32)
        seen /= np.concatenate([starts[1:], [len(rows)]]) - starts
        return seen

    def outputs(self, rows: Rows) -> Floats:
        """The outputs of one text."""
        return self._outputs(rows, self.rarity.take(rows))

    def outputs_and_known_share(self, rows: Rows) -> tuple[Floats, float]:
        """The outputs of one text, and the share of its rows that training saw."""
        rarity = self.rarity.take(rows)
        return self._outputs(rows, rarity), np.count_nonzero(rarity) / max(len(rows), 1)

    def _outputs(self, rows: Rows, rarity: Floats) -> Floats:
        length = math.sqrt(rarity.dot(rarity))
        if length == 0.0:
            return self.bias
        # Converted first: inside the product the conversion takes twice as long.
        weights = self.weights.take(rows, axis=0).astype(np.float32, copy=False)
        out: Floats = rarity.dot(weights)
        out /= length
        out += self.bias
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """The second stage: a linear map of the embedding."""

    weights: Floats
    bias: Floats

    def logits(self, vectors: Floats) -> Floats:
        """One row of outputs per vector."""
        out: Floats = vectors @ self.weights + self.bias
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """One log-odds per vector, through a layer of rectified units."""

    inner: Dense
    outer: Dense

    def logits(self, vectors: Floats) -> Floats:
        """One number per vector."""
        return self.outer.logits(np.maximum(self.inner.logits(vectors), 0.0))


def _widened(halves: NDArray[Any]) -> Floats:
    """As ``astype(np.float32)``, which converts half precision number by number."""
    if halves.dtype != np.float16 or halves.size < _MANY:
        return halves.astype(np.float32, copy=False)
    bits = halves.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= ~0x70000000  # the sign filled the bits that the exponent has more
    wide = bits.view(np.float32)
    wide *= 2.0**112  # the two exponents count from numbers so far apart
    return wide


def distribution(logits: Sequence[float], sharpness: float) -> list[float]:
    """A softmax of a few log-odds times ``sharpness``; for so few, numpy would be slower."""
    top = max(logits)
    raised = [math.exp(sharpness * (value - top)) for value in logits]
    total = sum(raised)
    return [value / total for value in raised]


def geometric_mean(prior: ArrayLike, evidence: ArrayLike, weight: float = 0.5) -> Floats:
    """The geometric mean of two distributions, with a weight for ``evidence``.

    ``prior`` may have further outputs after those of ``evidence``; they keep their shares.
    """
    prior, evidence = np.asarray(prior), np.asarray(evidence)
    known = len(evidence)
    both = prior[:known] ** (1 - weight) * evidence**weight
    both *= prior[:known].sum() / max(float(both.sum()), _TINY)
    return np.concatenate([both, prior[known:]])


def softmax(logits: Floats) -> Floats:
    """Rows that sum to one."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    rows: Floats = raised / raised.sum(axis=-1, keepdims=True)
    return rows


def logistic(logits: NDArray[Real]) -> NDArray[Real]:
    """Log-odds as probabilities."""
    return np.asarray(1.0 / (1.0 + np.exp(-logits)), dtype=logits.dtype)

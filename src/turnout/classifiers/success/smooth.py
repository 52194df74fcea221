"""The two members of an expert that change smoothly with the prompt: a linear one and neighbours.

Invariant: pure; nothing is read but the encoded prompt.
"""

from dataclasses import dataclass

import numpy as np

from turnout.classifiers.success.encoding import marks_of, meaning_of
from turnout.core.arrays import Floats
from turnout.features import words

_NEAREST = 10
_MARK_WEIGHT = 0.1
_FORM_WEIGHT = 1.0
_ROUNDING = 2e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """Training prompts by place: ``places [n, d]`` of length 1, ``departures [n, m]``.

    A missing outcome is a departure of 0. ``count`` neighbours are averaged. ``of_calls``: how
    close a prompt lies is how far its marks are from theirs. Kinds of tool calls differ in form,
    not in meaning, and in how much of it: an angle does not tell them apart.
    """

    places: Floats
    departures: Floats
    count: int
    of_calls: bool

    def look(self, places: Floats) -> tuple[Floats, Floats]:
        """Mean departures ``[n, m]`` and mean closeness of the nearest ten ``[n]``."""
        alike = places @ self.places.T
        count = min(self.count, alike.shape[1])
        nearest = np.argpartition(-alike, count - 1, axis=1)[:, :count]
        near = -_apart(places, self.places) if self.of_calls else alike
        best = np.partition(-near, min(_NEAREST, near.shape[1]) - 1, axis=1)[:, :_NEAREST]
        return self.departures[nearest].mean(axis=1), -np.sort(best, axis=1).mean(axis=1)


def _apart(some: Floats, others: Floats) -> Floats:
    """``[n, k]``: how far the marks of places lie apart."""
    x, y = form_of(some), form_of(others)
    lengths = [np.einsum("ij,ij->i", part, part) for part in (x, y)]
    square = lengths[0][:, None] + lengths[1] - 2 * x @ y.T
    # What is left of equal marks hangs on how many prompts are read at once.
    return np.asarray(np.sqrt(np.where(square > _ROUNDING, square, 0.0)), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Smooth:
    """``centre`` and ``scale`` standardise the surface marks for ``coefficients [width + 1, m]``.

    And for the places of the ``neighbours``.
    """

    centre: Floats
    scale: Floats
    coefficients: Floats
    neighbours: Neighbours

    def look(self, encoded: Floats) -> tuple[Floats, Floats]:
        """Departures ``[2, n, m]``, linear and of the neighbours, and closeness ``[n]``."""
        linear = linear_inputs(encoded, self.centre, self.scale) @ self.coefficients
        near, closeness = self.neighbours.look(places(encoded, self.centre, self.scale))
        return np.stack([linear, near]), closeness


def linear_inputs(encoded: Floats, centre: Floats, scale: Floats) -> Floats:
    """``[n, width + 1]``: standardised marks at a tenth of their scale, meaning, and a constant.

    An outlier is held to four standard deviations; the tenth was tuned across left-out tasks.
    """
    marks = np.clip((marks_of(encoded) - centre) / scale, -4.0, 4.0) * _MARK_WEIGHT
    return np.hstack([marks, meaning_of(encoded), np.ones((len(encoded), 1), np.float32)])


def places(encoded: Floats, centre: Floats, scale: Floats) -> Floats:
    """``[n, width]`` of length 1: meaning and standardised marks, each worth about a half.

    Kinds of prompts differ in form as much as in subject: options, tools, code, length.
    """
    marks = np.clip((marks_of(encoded) - centre) / scale, -3.0, 3.0)
    marks *= _FORM_WEIGHT / np.sqrt(marks.shape[1])
    placed = np.hstack([meaning_of(encoded), marks])
    length = np.linalg.norm(placed, axis=1, keepdims=True) + 1e-6
    return np.asarray(placed / length, dtype=np.float32)


def form_of(placed: Floats) -> Floats:
    """The marks' part of ``places``."""
    return placed[:, words.DIMENSIONS :]

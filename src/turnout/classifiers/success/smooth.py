"""The two members of an expert that change smoothly with the prompt: a linear one and neighbours.

Invariant: pure; only the encoded prompt is read.
"""

from dataclasses import dataclass, field

import numpy as np

from turnout.classifiers.success.encoding import marks_of, meaning_of
from turnout.core.arrays import Doubles, Floats, product
from turnout.features import words

_NEAREST = 10
_MARK_WEIGHT = 0.1
_FORM_WEIGHT = 1.0
_ROUNDING = 2e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """Training prompts by place: ``places [n, d]`` of length 1, ``departures [n, m]``.

    A missing outcome is a departure of 0. ``count`` neighbours are averaged. With ``of_calls``
    closeness is the distance between marks, not the angle between places: kinds of tool calls
    differ in form and not in meaning, and by amounts that an angle does not show.
    """

    places: Floats
    departures: Floats
    count: int
    of_calls: bool
    _places: Doubles = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Keeps the places in double precision, as each prompt is compared with all of them."""
        object.__setattr__(self, "_places", self.places.astype(np.float64))

    def departures_and_closeness(self, places: Floats) -> tuple[Floats, Floats]:
        """Mean departures ``[n, m]`` and mean closeness of the nearest ten ``[n]``."""
        cosines = product(places, self._places.T)
        count = min(self.count, cosines.shape[1])
        nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        closeness_to_each = -_form_distances(places, self._places) if self.of_calls else cosines
        nearest_closeness = np.partition(
            -closeness_to_each, min(_NEAREST, closeness_to_each.shape[1]) - 1, axis=1
        )[:, :_NEAREST]
        mean_closeness = -np.sort(nearest_closeness, axis=1).mean(axis=1)
        return self.departures[nearest].mean(axis=1), mean_closeness


def _form_distances(some: Floats, others: Doubles) -> Floats:
    """``[n, k]``: the distances between the marks of places."""
    x, y = some[:, words.DIMENSIONS :].astype(np.float64), others[:, words.DIMENSIONS :]
    lengths = [np.einsum("ij,ij->i", part, part) for part in (x, y)]
    square = lengths[0][:, None] + lengths[1] - 2 * x @ y.T
    # Rounding leaves small distances between equal marks that vary with the number of prompts.
    return np.asarray(np.sqrt(np.where(square > _ROUNDING, square, 0.0)), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Smooth:
    """The linear member, ``coefficients [width + 1, m]``, and the ``neighbours``.

    ``centre`` and ``scale`` standardise the surface marks for both.
    """

    centre: Floats
    scale: Floats
    coefficients: Floats
    neighbours: Neighbours

    def departures_and_closeness(self, encoded: Floats) -> tuple[Floats, Floats]:
        """Departures ``[2, n, m]``, of the linear member and neighbours, and closeness ``[n]``."""
        linear = product(linear_inputs(encoded, self.centre, self.scale), self.coefficients)
        near, closeness = self.neighbours.departures_and_closeness(
            places(encoded, self.centre, self.scale)
        )
        return np.stack([linear, near]), closeness


def linear_inputs(encoded: Floats, centre: Floats, scale: Floats) -> Floats:
    """``[n, width + 1]``: a tenth of the standardised marks, the meaning, and a constant.

    Outliers are cut at four standard deviations; the tenth was tuned on left-out tasks.
    """
    marks = np.clip((marks_of(encoded) - centre) / scale, -4.0, 4.0) * _MARK_WEIGHT
    return np.hstack([marks, meaning_of(encoded), np.ones((len(encoded), 1), np.float32)])


def places(encoded: Floats, centre: Floats, scale: Floats) -> Floats:
    """``[n, width]`` of length 1: meaning and standardised marks, with about equal weight.

    Kinds of prompts differ in form (options, tools, code, length) as much as in subject.
    """
    marks = np.clip((marks_of(encoded) - centre) / scale, -3.0, 3.0)
    marks *= _FORM_WEIGHT / np.sqrt(marks.shape[1])
    vectors = np.hstack([meaning_of(encoded), marks])
    length = np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-6
    return np.asarray(vectors / length, dtype=np.float32)

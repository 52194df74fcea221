"""What one outcome table taught: P(success) of its models for a prompt.

Three members predict how far each model departs from its mean: a forest, a linear model and the
nearest neighbours. Their departures are split into a level (is the prompt hard for everyone?) and
contrasts (for whom is it harder?), and each part is weighted by what it was worth out of fold:
once on prompts like the training data and once on whole groups of prompts left out. How unlike the
training data a prompt is decides between the two, so that a strange prompt falls back towards the
models' means, moved by what abler models gain on it as far as other tables know such prompts.

Invariant: every probability is in [0.005, 0.995]; nothing is read but the encoded prompt.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from turnout.classifiers.success.encoding import marks_of, meaning_of
from turnout.classifiers.success.forest import Forest

Floats = npt.NDArray[np.float32]

MEMBERS = ("forest", "linear", "neighbours")
_NEAREST = 10
_EDGE = 0.005
_MARK_WEIGHT = 0.1
_FORM_WEIGHT = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """Training prompts by place: ``places [n, d]`` of length 1, ``departures [n, m]``.

    A missing outcome is a departure of 0. ``count`` neighbours are averaged.
    """

    places: Floats
    departures: Floats
    count: int

    def look(self, places: Floats) -> tuple[Floats, Floats]:
        """Mean departures ``[n, m]`` and mean closeness of the nearest ten ``[n]``."""
        closeness = places @ self.places.T
        count = min(self.count, closeness.shape[1])
        nearest = np.argpartition(-closeness, count - 1, axis=1)[:, :count]
        best = -np.sort(-np.take_along_axis(closeness, nearest, axis=1), axis=1)
        return self.departures[nearest].mean(axis=1), best[:, :_NEAREST].mean(axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """Weights of the members, ``[2 regimes, 2 parts, members]``: known, strange x level, contrast.

    ``basis [m, r]`` holds the few directions of contrast in which models really differ: what lies
    outside is noise that a choice among many models would chase. ``slope`` and ``offset`` turn
    closeness into strangeness.
    """

    weights: Floats
    basis: Floats
    slope: float
    offset: float

    def strangeness(self, closeness: Floats) -> Floats:
        """How unlike the training data each prompt is, 0..1: ``[n]``."""
        logit = np.clip(self.slope * closeness + self.offset, -30.0, 30.0)
        return np.asarray(1.0 / (1.0 + np.exp(-logit)), dtype=np.float32)

    def departures(self, members: Floats, strange: Floats) -> Floats:
        """``[n, m]`` from the members' ``[members, n, m]`` and the strangeness ``[n]``."""
        level = members.mean(axis=2, keepdims=True)
        known, unknown = (
            _mixed(of_level, level) + _mixed(of_contrast, members - level)
            for of_level, of_contrast in self.weights
        )
        share = strange[:, None]
        departures = (1 - share) * known + share * unknown
        shared = departures.mean(axis=1, keepdims=True)
        contrast = ((departures - shared) @ self.basis) @ self.basis.T
        return np.asarray(shared + contrast, dtype=np.float32)


def _mixed(weights: Floats, members: Floats) -> Floats:
    shape = members.shape[1:]
    return np.asarray(weights @ members.reshape(len(weights), -1)).reshape(shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What an expert says of ``n`` prompts.

    ``success [n, m]`` is its own estimate; ``strange [n]`` says how unlike its training data a
    prompt is, and ``gain [n]`` what one logit more ability is worth.
    """

    success: Floats
    strange: Floats
    gain: Floats

    @property
    def knowing(self) -> Floats:
        """How well the expert knows prompts of the kind, 0..1: ``[n]``."""
        return np.asarray(1 - self.strange, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expert:
    """One table's predictor: ``models`` in the table's order, with their ``prior`` means.

    ``centre`` and ``scale`` standardise the surface marks for ``coefficients [width + 1, m]``.
    """

    name: str
    models: tuple[str, ...]
    prior: Floats
    centre: Floats
    scale: Floats
    coefficients: Floats
    forest: Forest
    neighbours: Neighbours
    blend: Blend

    @property
    def ability(self) -> Floats:
        """``[m]``: the logit of each model's mean success, about the models' mean."""
        mean = np.clip(self.prior, 0.02, 0.98)
        logit = np.log(mean / (1 - mean))
        return np.asarray(logit - logit.mean(), dtype=np.float32)

    def read(self, encoded: Floats) -> Reading:
        """What the expert says of the encoded prompts ``[n, width]``."""
        members, closeness = self.members(encoded)
        strange = self.blend.strangeness(closeness)
        # Abilities sum to zero, so that the level of the departures drops out.
        known, ability = self.blend.departures(members, np.zeros_like(strange)), self.ability
        return Reading(
            success=self.prior + self.blend.departures(members, strange),
            strange=strange,
            gain=known @ ability / (ability @ ability + 1e-6),
        )

    def answer(self, reading: Reading, gain: Floats) -> Floats:
        """P(success) ``[n, m]``.

        ``gain [n]`` is what all experts say of ability; it counts as far as the prompt is strange.
        """
        moved = (reading.strange * gain)[:, None] * self.ability
        return np.asarray(np.clip(reading.success + moved, _EDGE, 1 - _EDGE), dtype=np.float32)

    def members(self, encoded: Floats) -> tuple[Floats, Floats]:
        """Each member's departures from the prior ``[members, n, m]``, and closeness ``[n]``."""
        near, closeness = self.neighbours.look(places(encoded, self.centre, self.scale))
        linear = linear_inputs(encoded, self.centre, self.scale) @ self.coefficients
        return np.stack([self.forest.predict(encoded), linear, near]), closeness

    def uncertainty(self, encoded: Floats) -> Floats:
        """``[n, m]``: standard error of P(success), larger where the prompt is strange."""
        _, closeness = self.neighbours.look(places(encoded, self.centre, self.scale))
        trees = self.forest.spread(encoded) / np.sqrt(len(self.forest.roots))
        strange = self.blend.strangeness(closeness)[:, None]
        unknown = strange * self.prior * (1 - self.prior) / 4
        return np.asarray(np.sqrt(trees**2 + unknown), dtype=np.float32)


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

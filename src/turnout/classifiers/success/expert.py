"""What one outcome table taught: P(success) of its models for a prompt.

Three members predict how far each model departs from its mean: a forest, a linear model and the
nearest neighbours. Their departures are split into a level (is the prompt hard for everyone?) and
contrasts (for whom is it harder?), and each part is weighted by what it was worth out of fold:
once on prompts like the training data and once on whole groups of prompts left out. How unlike the
training data a prompt is decides between the two, so that a strange prompt falls back towards the
models' means, moved by what abler models gain on it: as far as other tables know such prompts, and
by its length, the mark that tells for the abler model in the most tables.

Invariant: every probability is in [0.005, 0.995]; nothing is read but the encoded prompt.
"""

from dataclasses import dataclass

import numpy as np

from turnout.classifiers.heads import logistic
from turnout.classifiers.success.encoding import (
    asks_for_calls,
    length_of,
    without_likeness,
    without_wording,
)
from turnout.classifiers.success.forest import Forest
from turnout.classifiers.success.smooth import Smooth
from turnout.core.arrays import Floats

EDGE = 0.005
PAIR = 2
# What the longest strange question costs a model far behind the best one, and how many logits
# count as far. Tuned on left-out tasks of the shared tables.
_LENGTH_COST = 0.32
_FAR_BEHIND = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """Weights of the members, ``[2 regimes, 2 parts, members]``: known, strange x level, contrast.

    ``basis [m, r]`` holds the few directions of contrast in which models really differ: what lies
    outside is noise that a choice among many models would chase. ``slope`` and ``offset`` turn
    closeness into strangeness. On the strangest prompt a contrast below ``unclear`` says nothing
    (where a prompt is no more strange than known, all count), and the share ``drawn`` of the
    models' differences is lost.
    """

    weights: Floats
    basis: Floats
    slope: float
    offset: float
    unclear: float = 0.0
    drawn: float = 0.0

    def strangeness(self, closeness: Floats) -> Floats:
        """How unlike the training data each prompt is, 0..1: ``[n]``."""
        logit = np.clip(self.slope * closeness + self.offset, -30.0, 30.0)
        return np.asarray(logistic(logit), dtype=np.float32)

    def departures(self, members: Floats, strange: Floats) -> Floats:
        """``[n, m]`` from the members' ``[2, members, n, m]`` and the strangeness ``[n]``."""
        known, unknown = (
            _weighed(weights, found) for weights, found in zip(self.weights, members, strict=True)
        )
        share = strange[:, None]
        departures = (1 - share) * known + share * unknown
        shared = departures.mean(axis=1, keepdims=True)
        contrast = ((departures - shared) @ self.basis) @ self.basis.T
        if self.unclear:
            contrast = _clear(contrast, self.unclear * np.maximum(0.0, 2.0 * share - 1.0))
        return np.asarray(shared + contrast, dtype=np.float32)


def _clear(contrast: Floats, unclear: Floats) -> Floats:
    """The contrast without what is smaller than ``unclear``, in the same order.

    A contrast as large as ``unclear`` keeps half of itself, one three times as large nine tenths.
    """
    square = contrast**2
    return np.asarray(contrast * (square / (square + unclear**2 + 1e-12)), dtype=np.float32)


def _weighed(weights: Floats, members: Floats) -> Floats:
    level = members.mean(axis=2, keepdims=True)
    return _mixed(weights[0], level) + _mixed(weights[1], members - level)


def _mixed(weights: Floats, members: Floats) -> Floats:
    shape = members.shape[1:]
    return np.asarray(weights @ members.reshape(len(weights), -1)).reshape(shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What an expert finds in ``n`` prompts.

    ``members [2, 3, n, m]`` are its members' departures, as the prompts are and as strange ones are
    read; ``strange [n]`` says how unlike its training data a prompt is, and ``length [n]`` how
    much longer it is than what was trained on (0 with tools: there the question's length tells
    nothing).
    """

    members: Floats
    strange: Floats
    length: Floats

    @property
    def knowing(self) -> Floats:
        """How well the expert knows prompts of the kind, 0..1: ``[n]``."""
        return np.asarray(1 - self.strange, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the other experts say of ``n`` prompts.

    ``gain [n]`` is what one logit more ability is worth, and ``knowing [n]`` how well the one that
    knows such prompts best does.
    """

    gain: Floats
    knowing: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Expert:
    """One table's predictor: ``models`` in the table's order, with their ``prior`` means.

    ``length`` is the mean length of its questions, as ``length_of`` has it.
    """

    name: str
    models: tuple[str, ...]
    prior: Floats
    length: float
    smooth: Smooth
    forest: Forest
    blend: Blend

    @property
    def ability(self) -> Floats:
        """``[m]``: the logit of each model's mean success, about the models' mean."""
        mean = np.clip(self.prior, 0.02, 0.98)
        logit = np.log(mean / (1 - mean))
        return np.asarray(logit - logit.mean(), dtype=np.float32)

    def read(self, encoded: Floats) -> Reading:
        """What the expert finds in the encoded prompts ``[n, width]``."""
        members, closeness = self.members(encoded)
        length = np.where(asks_for_calls(encoded), 0.0, length_of(encoded) - self.length)
        return Reading(
            members=members,
            strange=self.blend.strangeness(closeness),
            length=length.astype(np.float32),
        )

    def gain(self, reading: Reading) -> Floats:
        """``[n]``: what one logit more ability is worth, told as if the prompts were known."""
        known = self.blend.departures(reading.members, np.zeros_like(reading.strange))
        ability = self.ability
        # Abilities sum to zero, so that the level of the departures drops out.
        return np.asarray(known @ ability / (ability @ ability + 1e-6), dtype=np.float32)

    def answer(self, reading: Reading, told: Told | None = None) -> Floats:
        """P(success) ``[n, m]``.

        Where the prompt is strange and another expert knows it, its own contrasts give way to what
        it is ``told`` of ability. A long strange prompt costs the less able models more.
        """
        ability, departed = self.ability, self.blend.departures(reading.members, reading.strange)
        behind = np.tanh((ability.max() - ability) / _FAR_BEHIND)
        moved = -_LENGTH_COST * reading.length[:, None] * behind
        share = reading.strange
        if told is not None:
            ceded = told.knowing * (1 - reading.knowing**2)
            level = departed.mean(axis=1, keepdims=True)
            departed = level + (1 - ceded)[:, None] * (departed - level)
            moved = moved + told.gain[:, None] * ability
            share = np.maximum(share, ceded)
        success = self.prior + departed + share[:, None] * moved
        lost = self.blend.drawn * reading.strange[:, None]
        success += lost * (success.mean(axis=1, keepdims=True) - success)
        return np.asarray(np.clip(success, EDGE, 1 - EDGE), dtype=np.float32)

    def members(self, encoded: Floats) -> tuple[Floats, Floats]:
        """Each member's departures from the prior ``[2, members, n, m]``, and closeness ``[n]``.

        Once as the prompts are, and once as strange ones are read: without their wording.
        """
        bare = without_wording(encoded, self.smooth.centre)
        other = np.flatnonzero((bare != encoded).any(axis=1))
        read = np.vstack([encoded, bare[other]])
        smooth, closeness = self.smooth.look(read)
        inputs = forest_inputs(read, smooth, of_calls=self.smooth.neighbours.of_calls)
        found = np.stack([self.forest.predict(inputs), *smooth])
        known, count = found[:, : len(encoded)], len(encoded)
        strange = known.copy()
        strange[:, other] = found[:, count:]
        return np.stack([known, strange]), closeness[:count]

    def uncertainty(self, encoded: Floats) -> Floats:
        """``[n, m]``: standard error of P(success), larger where the prompt is strange."""
        smooth, closeness = self.smooth.look(encoded)
        inputs = forest_inputs(encoded, smooth, of_calls=self.smooth.neighbours.of_calls)
        trees = self.forest.spread(inputs) / np.sqrt(len(self.forest.roots))
        strange = self.blend.strangeness(closeness)[:, None]
        unknown = strange * self.prior * (1 - self.prior) / 4
        return np.asarray(np.sqrt(trees**2 + unknown), dtype=np.float32)


def reads_levels(models: int, *, of_calls: bool) -> bool:
    """Whether the trees read how hard the smooth members find a prompt."""
    return models == PAIR or not of_calls


def forest_inputs(encoded: Floats, smooth: Floats, *, of_calls: bool) -> Floats:
    """What the trees read, given what the ``smooth`` members say ``[2, n, m]``.

    How hard a prompt is to those, and of two models how alike the options are, which tells little
    or nothing in tables of more. In these it is not read how hard a call is: one of a new kind is
    not as hard as the known ones that it looks like.
    """
    models = smooth.shape[2]
    read = encoded if models == PAIR else without_likeness(encoded)
    if not reads_levels(models, of_calls=of_calls):
        return read
    return np.hstack([smooth.mean(axis=2).T, read])

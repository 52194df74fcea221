"""The expert of one outcome table: P(success) of the table's models for a prompt.

Three members predict how far each model departs from its mean: a forest, a linear model and the
nearest neighbours. Their departures are split into a level (is the prompt hard for all models?) and
contrasts (for which models is it harder?). Each part has two weights, by its worth out of fold: one
from prompts like the training data, one from whole groups of prompts left out. The strangeness of a
prompt, which is how unlike the training data it is, mixes the two. So the answer to a strange
prompt is close to the models' means. It is then moved by what abler models gain on the prompt, as
other tables know it, and by the prompt's length, which favours abler models in most tables.

Invariant: every probability is in [0.005, 0.995]; only the encoded prompt is read.
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
from turnout.core.arrays import Floats, product

EDGE = 0.005
PAIR = 2
# How much the longest strange question costs a model far behind the best, and how many logits
# count as far. Tuned on left-out tasks of the shared tables.
_LENGTH_COST = 0.32
_FAR_BEHIND = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """Weights of the members, ``[2 regimes, 2 parts, members]``: known, strange x level, contrast.

    ``basis [m, r]`` holds the few directions in which the models' contrasts really differ; the rest
    is noise. ``slope`` and ``offset`` turn closeness into strangeness. On the strangest prompt
    contrasts below ``contrast_floor`` are reduced to almost nothing (up to a strangeness of one
    half they all count), and the models' differences are reduced by the share ``shrink_share``.
    """

    weights: Floats
    basis: Floats
    slope: float
    offset: float
    contrast_floor: float = 0.0
    shrink_share: float = 0.0

    def strangeness(self, closeness: Floats) -> Floats:
        """How unlike the training data each prompt is, 0..1: ``[n]``."""
        logit = np.clip(self.slope * closeness + self.offset, -30.0, 30.0)
        return np.asarray(logistic(logit), dtype=np.float32)

    def departures(self, members: Floats, strange: Floats) -> Floats:
        """``[n, m]`` from the members' ``[2, members, n, m]`` and the strangeness ``[n]``."""
        known, unknown = (
            _weighted_members(weights, found)
            for weights, found in zip(self.weights, members, strict=True)
        )
        share = strange[:, None]
        departures = (1 - share) * known + share * unknown
        shared = departures.mean(axis=1, keepdims=True)
        contrast = product(product(departures - shared, self.basis), self.basis.T)
        if self.contrast_floor:
            contrast = _without_small_contrasts(
                contrast, self.contrast_floor * np.maximum(0.0, 2.0 * share - 1.0)
            )
        return np.asarray(shared + contrast, dtype=np.float32)


def _without_small_contrasts(contrast: Floats, contrast_floor: Floats) -> Floats:
    """The contrasts, reduced where they are smaller than ``contrast_floor``; their order stays.

    A contrast of ``contrast_floor`` is halved; one three times as large keeps nine tenths.
    """
    square = contrast**2
    return np.asarray(contrast * (square / (square + contrast_floor**2 + 1e-12)), dtype=np.float32)


def _weighted_members(weights: Floats, members: Floats) -> Floats:
    level = members.mean(axis=2, keepdims=True)
    return _weighted_sum(weights[0], level) + _weighted_sum(weights[1], members - level)


def _weighted_sum(weights: Floats, members: Floats) -> Floats:
    shape = members.shape[1:]
    return product(weights, members.reshape(len(weights), -1)).reshape(shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What an expert finds in ``n`` prompts.

    ``members [2, 3, n, m]``: the members' departures, for the prompts as known and as strange ones.
    ``strange [n]``: how unlike the training data a prompt is. ``length [n]``: how much longer it is
    than the training prompts; 0 with tools, where the question's length does not matter.
    """

    members: Floats
    strange: Floats
    length: Floats

    @property
    def familiarity(self) -> Floats:
        """How well the expert knows such prompts, 0..1: ``[n]``."""
        return np.asarray(1 - self.strange, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What an expert learns from the others about ``n`` prompts.

    ``gain [n]``: the gain in success from one logit more ability. ``familiarity [n]``: how well the
    best of the others knows such prompts.
    """

    gain: Floats
    familiarity: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Expert:
    """One table's predictor: ``models`` in the table's order, with their ``prior`` means.

    ``length`` is the mean ``length_of`` the table's questions.
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
        """``[m]``: the logit of each model's mean success, minus the mean of these logits."""
        mean = np.clip(self.prior, 0.02, 0.98)
        logit = np.log(mean / (1 - mean))
        return np.asarray(logit - logit.mean(), dtype=np.float32)

    def read(self, encoded: Floats) -> Reading:
        """What the expert finds in the encoded prompts ``[n, width]``."""
        members, closeness = self.member_departures(encoded)
        length = np.where(asks_for_calls(encoded), 0.0, length_of(encoded) - self.length)
        return Reading(
            members=members,
            strange=self.blend.strangeness(closeness),
            length=length.astype(np.float32),
        )

    def ability_gain(self, reading: Reading) -> Floats:
        """``[n]``: the gain in success from one logit more ability, if the prompts were known."""
        known = self.blend.departures(reading.members, np.zeros_like(reading.strange))
        ability = self.ability
        # Abilities sum to zero, so the level of the departures has no effect.
        return np.asarray(product(known, ability) / (ability @ ability + 1e-6), dtype=np.float32)

    def predict(self, reading: Reading, advice: Advice | None = None) -> Floats:
        """P(success) ``[n, m]``.

        On a strange prompt that another expert knows, ``advice`` about the gain of abler models
        replaces the expert's own contrasts. A long strange prompt costs the less able models more.
        """
        ability, departures = self.ability, self.blend.departures(reading.members, reading.strange)
        behind = np.tanh((ability.max() - ability) / _FAR_BEHIND)
        shift = -_LENGTH_COST * reading.length[:, None] * behind
        share = reading.strange
        if advice is not None:
            ceded_share = advice.familiarity * (1 - reading.familiarity**2)
            level = departures.mean(axis=1, keepdims=True)
            departures = level + (1 - ceded_share)[:, None] * (departures - level)
            shift = shift + advice.gain[:, None] * ability
            share = np.maximum(share, ceded_share)
        success = self.prior + departures + share[:, None] * shift
        shrink = self.blend.shrink_share * reading.strange[:, None]
        success += shrink * (success.mean(axis=1, keepdims=True) - success)
        return np.asarray(np.clip(success, EDGE, 1 - EDGE), dtype=np.float32)

    def member_departures(self, encoded: Floats) -> tuple[Floats, Floats]:
        """Each member's departures from the prior ``[2, members, n, m]``, and closeness ``[n]``.

        First for the prompts as they are, then without their wording, as strange ones are read.
        """
        bare = without_wording(encoded, self.smooth.centre)
        other = np.flatnonzero((bare != encoded).any(axis=1))
        variants = np.vstack([encoded, bare[other]])
        smooth, closeness = self.smooth.departures_and_closeness(variants)
        inputs = forest_inputs(variants, smooth, of_calls=self.smooth.neighbours.of_calls)
        departures = np.stack([self.forest.predict(inputs), *smooth])
        known, count = departures[:, : len(encoded)], len(encoded)
        strange = known.copy()
        strange[:, other] = departures[:, count:]
        return np.stack([known, strange]), closeness[:count]

    def uncertainty(self, encoded: Floats) -> Floats:
        """``[n, m]``: standard error of P(success), larger for strange prompts."""
        smooth, closeness = self.smooth.departures_and_closeness(encoded)
        inputs = forest_inputs(encoded, smooth, of_calls=self.smooth.neighbours.of_calls)
        trees = self.forest.spread(inputs) / np.sqrt(len(self.forest.roots))
        strange = self.blend.strangeness(closeness)[:, None]
        unknown = strange * self.prior * (1 - self.prior) / 4
        return np.asarray(np.sqrt(trees**2 + unknown), dtype=np.float32)


def reads_levels(models: int, *, of_calls: bool) -> bool:
    """Whether the trees read how hard a prompt is for the smooth members."""
    return models == PAIR or not of_calls


def forest_inputs(encoded: Floats, smooth: Floats, *, of_calls: bool) -> Floats:
    """The input of the trees, from the departures of the ``smooth`` members ``[2, n, m]``.

    Their level, which says how hard a prompt is, and in a table of two models the likeness of the
    options, which helps little with more models. With more models the level of tool calls is left
    out: a new kind of call is not as hard as the known ones that it resembles.
    """
    models = smooth.shape[2]
    read = encoded if models == PAIR else without_likeness(encoded)
    if not reads_levels(models, of_calls=of_calls):
        return read
    return np.hstack([smooth.mean(axis=2).T, read])

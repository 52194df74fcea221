"""Weights an expert's members by their value out of fold.

Level and contrast have weights of their own, once for prompts like the training data and once for
left-out kinds of prompts; the gate between the two comes from the closeness of known prompts.
"""

from dataclasses import dataclass, replace

import numpy as np

from turnout.classifiers.success.expert import PAIR, Blend
from turnout.core.arrays import Floats

# A new task is further from the training data than a group left out of it: half the level is kept.
_PRUDENCE = 0.5
# The share of known prompts that counts as more strange than known, and how sharply. Tool calls
# are all weighed as new, and lose by strangeness only what known ones among them have use for.
_GATE = (0.1, 4.0)
_GATE_OF_CALLS = (0.05, 8.0)
# A contrast below this says nothing on the strangest prompt. Tuned on folds, left-out tasks and
# our own paraphrases: the choice then changes less with the wording, at no loss in the folds.
_CONTRAST_FLOOR = 0.06
# How much smaller the models' differences are on the strangest call. A kind known by name keeps
# 0.6 of those that the other kinds have, but some calls that seem strange are known.
_CALL_SHRINK_SHARE = 0.3
_WORTH_LEFT = 0.04
# The one contrast of two models is too little to weight members by: it comes from the forest, whose
# trees split on it first.
_PAIR_WEIGHTS = (1.0, 0.0, 0.0)
# What the weights for kinds that closeness does not tell apart are drawn halfway towards: groups
# found by clustering are no such kinds. On tables whose kinds are known by name, the forest is
# worth less on a kind left out than on such a group, and the linear member more.
_UNRECOGNISED_WEIGHTS = np.array([[0.25, 0.25, 0.0], [0.4, 0.3, 0.2]], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfFold:
    """Members' departures ``[2, members, n, m]``, the truth ``[n, m]`` with NaN, closeness ``[n]``.

    As the prompts are, and as strange ones are read.
    """

    members: Floats
    truth: Floats
    closeness: Floats


def plain_blend(models: int) -> Blend:
    """The members' plain mean, without strangeness: the start for a fold's members."""
    weights = np.full((2, 2, 3), 1 / 3, np.float32)
    return Blend(weights=weights, basis=np.eye(models, dtype=np.float32), slope=0.0, offset=-30.0)


def blend(known: OutOfFold, strange: OutOfFold, *, of_calls: bool) -> Blend:
    """Weights, basis and gate of an expert from its members' predictions out of fold.

    Closeness recognises some new kinds of tool calls, but not all: there every prompt is weighted
    as a new one, and the models are drawn together if closeness recognises it.
    """
    if np.isnan(known.truth).all():  # so few prompts that no fold left any out: the means alone
        alone = plain_blend(known.truth.shape[1])
        return replace(alone, weights=np.zeros_like(alone.weights))
    slope, offset = _gate(known.closeness, *(_GATE_OF_CALLS if of_calls else _GATE))
    weights = np.stack([_member_weights(known, 0), _member_weights(strange, 1)]).astype(np.float32)
    weights[1, 0] *= _PRUDENCE
    if of_calls:
        weights[:] = (weights[1] + _UNRECOGNISED_WEIGHTS) / 2
    else:
        weights[0, 0] *= _level_correction(known, weights, slope, offset)
    if known.truth.shape[1] == PAIR:
        weights[:, 1] = _PAIR_WEIGHTS
    all_directions = np.eye(known.truth.shape[1], dtype=np.float32)
    # Two models have no near ties among many: there the order by their one contrast counts.
    near_ties = known.truth.shape[1] > PAIR and not of_calls
    free = Blend(
        weights=weights,
        basis=all_directions,
        slope=slope,
        offset=offset,
        contrast_floor=_CONTRAST_FLOOR if near_ties else 0.0,
        shrink_share=_CALL_SHRINK_SHARE if of_calls else 0.0,
    )
    departures = free.departures(known.members, free.strangeness(known.closeness))
    return replace(free, basis=_basis(departures, known.truth))


def _level_correction(known: OutOfFold, weights: Floats, slope: float, offset: float) -> float:
    """The factor of the known level that keeps known prompts calibrated.

    If the gate recognises strange prompts badly, the caution meant for them affects known ones.
    """
    gate = Blend(weights=weights, basis=np.eye(1, dtype=np.float32), slope=slope, offset=offset)
    share = gate.strangeness(known.closeness)
    levels = known.members.mean(axis=3)
    from_known = (1 - share) * (weights[0, 0] @ levels[0])
    answered = ~np.isnan(known.truth)
    truth = np.nansum(known.truth, axis=1) / np.maximum(1, answered.sum(axis=1))
    missing = truth - share * (weights[1, 0] @ levels[1])
    return float(
        np.clip(from_known @ missing / max(1e-9, float(from_known @ from_known)), 0.5, 2.0)
    )


def _basis(found: Floats, truth: Floats) -> Floats:
    """The fewest main directions of contrast that keep nearly all of its worth out of fold."""
    known = ~np.isnan(truth)
    contrast = found - found.mean(axis=1, keepdims=True)
    level = np.nansum(truth, axis=1) / np.maximum(1, known.sum(axis=1))
    wanted = truth - level[:, None]
    directions = np.linalg.svd(contrast, full_matrices=False)[2]
    ranks = range(1, max(2, len(directions)))
    errors = [
        float(((wanted - (contrast @ directions[:r].T) @ directions[:r])[known] ** 2).mean())
        for r in ranks
    ]
    none = float((wanted[known] ** 2).mean())
    enough = min(errors) + _WORTH_LEFT * max(0.0, none - min(errors))
    rank = next(r for r, error in zip(ranks, errors, strict=True) if error <= enough)
    return np.asarray(directions[:rank].T, dtype=np.float32)


def _member_weights(found: OutOfFold, regime: int) -> Floats:
    """Non-negative least-squares weights ``[level, contrast] x members``.

    They sum to at most 1; the rest is the weight of the models' means.
    """
    from scipy.optimize import nnls

    known = ~np.isnan(found.truth)
    truth = np.where(known, found.truth, 0.0)
    counts = np.maximum(1, known.sum(axis=1, keepdims=True))
    level_truth = truth.sum(axis=1, keepdims=True) / counts
    members = found.members[regime]
    level = members.mean(axis=2, keepdims=True)
    pairs = (
        (level[:, :, 0].T, level_truth[:, 0]),
        ((members - level)[:, known].T, (truth - level_truth)[known]),
    )
    weights = [nnls(x.astype(np.float64), y.astype(np.float64))[0] for x, y in pairs]
    return np.array([w / max(1.0, float(w.sum())) for w in weights], np.float32)


def _gate(closeness: Floats, share: float, sharpness: float) -> tuple[float, float]:
    """Slope and offset of strangeness by closeness, from that of prompts like the training data.

    The least close ``share`` counts as more strange than known. Left-out groups found by clustering
    are no guide: they lie nearer to the rest than a new task does.
    """
    edge, middle = np.quantile(closeness.astype(np.float64), [share, 0.5])
    slope = -sharpness / max(1e-6, middle - edge)
    return float(slope), float(-slope * edge)

"""Missing outcomes, filled in from the model's ability and the prompt's difficulty for the others.

A model that was only asked easy prompts has a high mean for that reason alone. The Rasch model
separates the two: the logit of success is the model's ability minus the prompt's difficulty, both
drawn towards the mean.

Source: Rasch, Probabilistic Models for Some Intelligence and Attainment Tests, 1960.
"""

import numpy as np
import numpy.typing as npt

from turnout.classifiers.heads import logistic
from turnout.core.arrays import Floats

# Spread of abilities and of prompts' levels in logits, tuned on gaps made in complete public
# tables: models without outcomes on half of the prompts, and a single outcome per row.
_ABILITIES = 1.5
_LEVELS = 2.0
_STEPS = 15
_LARGEST_STEP = 2.0
_EDGE = 0.02


def with_expected_outcomes(score: Floats) -> Floats:
    """``[n, m]``: the outcomes, with the expected value in place of each missing one."""
    known = ~np.isnan(score)
    if known.all():
        return score
    outcome = np.where(known, score, 0.0)
    mean = np.clip(np.nanmean(score), _EDGE, 1 - _EDGE)
    middle = np.log(mean / (1 - mean))
    level, ability = np.zeros((len(score), 1)), np.zeros((1, score.shape[1]))
    for _ in range(_STEPS):
        level += _newton_step(
            outcome, known, _probability(middle + ability + level), level, _LEVELS, 1
        )
        ability += _newton_step(
            outcome, known, _probability(middle + ability + level), ability, _ABILITIES, 0
        )
    return np.where(known, score, _probability(middle + ability + level)).astype(np.float32)


def _newton_step(
    outcome: npt.NDArray[np.float64],
    known: npt.NDArray[np.bool_],
    probability: npt.NDArray[np.float64],
    value: npt.NDArray[np.float64],
    spread: float,
    axis: int,
) -> npt.NDArray[np.float64]:
    """One step of Newton's method for levels (``axis`` 1) or abilities (0)."""
    residual = np.where(known, outcome - probability, 0.0).sum(axis=axis, keepdims=True)
    curvature = np.where(known, probability * (1 - probability), 0.0).sum(axis=axis, keepdims=True)
    step = (residual - value / spread**2) / (curvature + 1 / spread**2)
    return np.asarray(np.clip(step, -_LARGEST_STEP, _LARGEST_STEP))


def _probability(logit: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return logistic(np.clip(logit, -30.0, 30.0))

"""A model added without training: from its mean quality, or from its outcomes on a few probes.

Its P(success) is its own mean plus a weighted sum of how far the known models' predictions are from
their means. With probes the weights come from ridge regression; without, they are equal. Describing
a model by its errors on a few hundred prompts: Jitkrittum et al., UniRoute, arXiv 2502.08773.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from turnout.classifiers.success.expert import EDGE
from turnout.core.arrays import Floats, product

# In probes; tuned over the models of the shared tables.
_RIDGE = 10.0
# Predictions that differ by less than this between the probes say nothing about a newcomer. On the
# shared tables they differ by 0.04 within one task, and by 0.1 and more over all tasks.
_LEAST = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """P = prior + (P(known) - base) . weights, with a weight and a base for each known model."""

    model: str
    prior: float
    known: tuple[str, ...]
    base: Floats
    weights: Floats

    def predict(self, success: Floats, order: Mapping[str, int]) -> Floats:
        """``[n]`` from the known models' ``[n, models]`` in ``order``."""
        columns = [order[name] for name in self.known]
        moved = product(success[:, columns] - self.base, self.weights)
        return np.asarray(np.clip(self.prior + moved, EDGE, 1 - EDGE), dtype=np.float32)

    def mean_given(self, means: Mapping[str, float]) -> float:
        """Its mean on the prompts of ``means``, the known models' means; probes may be harder."""
        known = np.array([means.get(m, b) for m, b in zip(self.known, self.base, strict=True)])
        return float(np.clip(self.prior + (known - self.base) @ self.weights, EDGE, 1 - EDGE))


def by_prior(model: str, prior: float, known: Mapping[str, float]) -> Newcomer:
    """A newcomer with mean quality ``prior``; ``known`` maps the other models to theirs."""
    count = len(known)
    return Newcomer(
        model=model,
        prior=prior,
        known=tuple(known),
        base=np.array(list(known.values()), np.float32),
        weights=np.full(count, 1.0 / count, np.float32),
    )


def by_probes(model: str, success: Floats, outcomes: Floats, known: tuple[str, ...]) -> Newcomer:
    """A newcomer from the known models' predictions ``[probes, models]`` and its ``outcomes``.

    The weights are fitted in the space of the probes, because many models have like predictions.
    """
    base = success.mean(axis=0)
    moves = success - base
    scale = max(np.linalg.norm(moves, axis=0).mean() / np.sqrt(len(moves)), _LEAST)
    inner = moves @ moves.T / (scale**2 * moves.shape[1])
    # Two more outcomes at the known mean, as for every model of a table: ten right answers of ten
    # do not prove a success of 1.
    prior = float((outcomes.sum() + 2 * base.mean()) / (len(outcomes) + 2))
    solved = np.linalg.solve(inner + _RIDGE * np.eye(len(inner)), outcomes - prior)
    weights = moves.T @ solved / (scale**2 * moves.shape[1])
    return Newcomer(
        model=model,
        prior=prior,
        known=known,
        base=base.astype(np.float32),
        weights=weights.astype(np.float32),
    )

"""Fits the linear heads of both stages by regularised logistic regression."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.training.features import Features
from turnout.training.folds import weights
from turnout.training.rows import INTENTS, Row

Floats = NDArray[np.float64]

OUTPUTS = (*INTENTS, "harm", "injection")
HARM, INJECTION = -2, -1
# Chosen on folds by source; see experiments/classifiers.md.
FIRST_STRENGTH = 3.0
SECOND_STRENGTH = 1.0
_SOURCE_POWER = 0.3
_ABSENT = -9.0
# Harmless prompts with alarming words are few, and what telling them apart is learned from.
_EMPHASIS = {"scary_benign": 3.0, "injection_benign": 3.0, "harm": 1.5}
_MIN_ROWS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """Weights with a column an output; ``rarity`` is zero where a row is not used."""

    rarity: Floats
    first_w: Floats
    first_b: Floats
    second_w: Floats
    second_b: Floats

    def first(self, features: Features) -> Floats:
        """The first stage's log-odds."""
        out: Floats = weighted(features.counts, self.rarity) @ self.first_w + self.first_b
        return out

    def second(self, features: Features) -> Floats:
        """What the second stage adds to them."""
        out: Floats = features.vectors @ self.second_w + self.second_b
        return out


def fit(rows: Sequence[Row], features: Features) -> Heads:
    """Heads for every output; one that has no rows of its own stays out of reach."""
    rarity = _rarity(features.counts)
    counts = weighted(features.counts, rarity)
    columns = [_column(rows, features, counts, output) for output in OUTPUTS]
    shape = (counts.shape[1], features.vectors.shape[1])
    heads = Heads(
        rarity=rarity,
        first_w=np.stack([c[0] if c else np.zeros(shape[0]) for c in columns], axis=1),
        first_b=np.array([c[1] if c else _ABSENT for c in columns]),
        second_w=np.stack([c[2] if c else np.zeros(shape[1]) for c in columns], axis=1),
        second_b=np.array([c[3] if c else _ABSENT for c in columns]),
    )
    _fit_intents_together(rows, features, heads)
    return heads


def weighted(counts: Any, rarity: Floats) -> Any:
    """Rows of unit length, columns weighted by rarity (Salton & Buckley 1988)."""
    from scipy.sparse import diags

    scaled = counts @ diags(rarity)
    lengths = np.sqrt(np.asarray(scaled.multiply(scaled).sum(axis=1)).ravel())
    return (diags(1.0 / np.maximum(lengths, 1e-9)) @ scaled).tocsr()


def _rarity(counts: Any) -> Floats:
    seen = np.asarray((counts > 0).sum(axis=0)).ravel()
    rarity = np.log((1 + counts.shape[0]) / (1 + seen)) + 1
    rarity[seen < _MIN_ROWS] = 0.0
    return np.asarray(rarity, dtype=np.float16).astype(np.float64)


def _column(
    rows: Sequence[Row], features: Features, counts: Any, output: str
) -> tuple[Floats, float, Floats, float] | None:
    wanted = [_wanted(row, output) for row in rows]
    index = [i for i, y in enumerate(wanted) if y is not None]
    labels = [bool(wanted[i]) for i in index]
    if len(set(labels)) < 2:
        return None
    sample = weights(
        [rows[i] for i in index], [_class(rows[i], output) for i in index], _SOURCE_POWER
    )
    if output not in INTENTS:
        sample *= np.array([_EMPHASIS.get(rows[i].kind, 1.0) for i in index])
        sample /= sample.mean()
    first = _logistic(counts[index], labels, sample, FIRST_STRENGTH, "liblinear")
    if output in INTENTS:
        return first.coef_[0], first.intercept_[0], np.zeros(features.vectors.shape[1]), 0.0
    second = _logistic(features.vectors[index], labels, sample, SECOND_STRENGTH, "lbfgs")
    return first.coef_[0], first.intercept_[0], second.coef_[0], second.intercept_[0]


def _fit_intents_together(rows: Sequence[Row], features: Features, heads: Heads) -> None:
    """The second stage's intents are one multinomial regression, not nine binary ones."""
    index = [i for i, row in enumerate(rows) if row.intent in INTENTS and row.judged]
    labels = [INTENTS.index(rows[i].intent or "") for i in index]
    sample = weights([rows[i] for i in index], labels, _SOURCE_POWER)
    model = _logistic(features.vectors[index], labels, sample, SECOND_STRENGTH, "lbfgs")
    heads.second_w[:, model.classes_] = model.coef_.T
    heads.second_b[model.classes_] = model.intercept_


def _wanted(row: Row, output: str) -> bool | None:
    """Whether the row is one of the output; None keeps it out of that head's training."""
    if not row.judged:
        return None
    if output == "harm":
        return None if row.injection else row.unsafe
    if output == "injection":
        return row.injection if row.injection or not row.unsafe else None
    return row.intent == output if row.intent in INTENTS else None


def _class(row: Row, output: str) -> object:
    """What the row counts as when classes are evened out."""
    return row.intent if output in INTENTS else _wanted(row, output)


def _logistic(
    features: Any, labels: Sequence[Any], sample: Floats, strength: float, solver: str
) -> Any:
    from sklearn.linear_model import LogisticRegression

    sparse = solver == "liblinear"
    model = LogisticRegression(
        C=strength,
        solver=solver,
        max_iter=30 if sparse else 300,
        tol=1e-2 if sparse else 1e-4,
        random_state=0,
    )
    return model.fit(features, np.asarray(labels), sample_weight=sample)

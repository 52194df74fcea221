"""Intents of the user's own, from a name, a description and a few examples, without training.

A least-squares head over sentence embeddings is solved at start-up: the examples against the
other intents' examples and against a background of what people otherwise ask. Its leave-one-out
scores set the out-of-scope threshold, so that a prompt like none of the examples stays out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from turnout.classifiers.asides import Embed
from turnout.classifiers.heads import logistic
from turnout.core import ConfigError
from turnout.core.arrays import Floats

MIN_EXAMPLES = 3
_RIDGE = 0.3
_STEEPNESS = 14.0
_BACKGROUND_QUANTILE = 0.995


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentSpec:
    """A user-defined intent; ``threshold`` in (0, 1) overrides the one that is worked out."""

    name: str
    description: str = ""
    examples: tuple[str, ...] = ()
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomIntents:
    """Heads for the user's intents: ``weights`` has a column an intent."""

    names: tuple[str, ...]
    weights: Floats
    thresholds: Floats

    @classmethod
    def fit(cls, specs: Sequence[IntentSpec], background: Floats, embed: Embed) -> Self:
        """Solves the heads. Raises ConfigError for a spec with fewer than three examples."""
        for spec in specs:
            _check(spec)
        texts = [_texts(spec) for spec in specs]
        vectors = [embed(text) for text in texts]
        heads = [_head(k, vectors, background, spec) for k, spec in enumerate(specs)]
        return cls(
            names=tuple(spec.name for spec in specs),
            weights=np.stack([weights for weights, _ in heads], axis=1),
            thresholds=np.array([threshold for _, threshold in heads], dtype=np.float32),
        )

    def join(self, vectors: Floats, distribution: Floats) -> Floats:
        """The distribution over the built-in intents with the user's ones added as columns."""
        fits = logistic(_STEEPNESS * (vectors @ self.weights - self.thresholds))
        own = fits / np.maximum(1.0, fits.sum(axis=1, keepdims=True))
        rest = 1.0 - own.sum(axis=1, keepdims=True)
        joined: Floats = np.hstack([distribution * rest, own])
        return joined


def _check(spec: IntentSpec) -> None:
    if len(spec.examples) < MIN_EXAMPLES:
        raise ConfigError(
            f"intent {spec.name!r} has {len(spec.examples)} examples; give at least {MIN_EXAMPLES}"
        )


def _texts(spec: IntentSpec) -> list[str]:
    described = f"{spec.name.replace('_', ' ')}. {spec.description}".strip()
    return [*spec.examples, described]


def _head(
    k: int, vectors: Sequence[Floats], background: Floats, spec: IntentSpec
) -> tuple[Floats, float]:
    """Ridge regression to 1 on the examples and 0 elsewhere, both sides of equal weight."""
    others = [v[:-1] for i, v in enumerate(vectors) if i != k]
    x = np.concatenate([vectors[k], *others, background]).astype(np.float64)
    y = np.zeros(len(x))
    y[: len(vectors[k])] = 1.0
    weight = np.where(y == 1.0, 1.0 / y.sum(), 1.0 / (1.0 - y).sum()) * len(x) / 2
    root = np.sqrt(weight)[:, None]
    scaled = x * root
    gram = scaled @ scaled.T + _RIDGE * np.eye(len(x))
    inverse = np.linalg.inv(gram)
    dual = inverse @ (y[:, None] * root)
    # Leave-one-out predictions of ridge regression in closed form (Hastie et al. 2009, 7.10).
    left_out = y - (dual[:, 0] / np.diag(inverse)) / root[:, 0]
    inside = float(np.median(left_out[: len(spec.examples)]))
    outside = float(np.quantile(left_out[y == 0.0], _BACKGROUND_QUANTILE))
    threshold = (
        spec.threshold if spec.threshold is not None else max(outside, (inside + outside) / 2)
    )
    return (scaled.T @ dual)[:, 0].astype(np.float32), threshold

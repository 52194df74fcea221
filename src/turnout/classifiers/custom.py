"""The user's own intents, from a name, a description and a few examples.

At start-up a least-squares head over sentence embeddings is fitted for each intent: its examples
against the other intents' examples and against a background of usual prompts. Leave-one-out scores
set its threshold, so that prompts unlike the examples are not in the intent.
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
    """A user's own intent; ``threshold`` in (0, 1) replaces the computed one."""

    name: str
    description: str = ""
    examples: tuple[str, ...] = ()
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomIntents:
    """Heads for the user's intents: ``weights`` has one column for each intent."""

    names: tuple[str, ...]
    weights: Floats
    thresholds: Floats

    @classmethod
    def fit(cls, specs: Sequence[IntentSpec], background: Floats, embed: Embed) -> Self:
        """Fits the heads. Raises ConfigError for a spec with fewer than three examples."""
        for spec in specs:
            _check_examples(spec)
        vectors = [embed(_training_texts(spec)) for spec in specs]
        heads = [_fit_head(k, vectors, background, spec) for k, spec in enumerate(specs)]
        return cls(
            names=tuple(spec.name for spec in specs),
            weights=np.stack([weights for weights, _ in heads], axis=1),
            thresholds=np.array([threshold for _, threshold in heads], dtype=np.float32),
        )

    def with_own_intents(self, vectors: Floats, distribution: Floats) -> Floats:
        """The distribution over the built-in intents, with a column for each of the user's."""
        fits = logistic(_STEEPNESS * (vectors @ self.weights - self.thresholds))
        own = fits / np.maximum(1.0, fits.sum(axis=1, keepdims=True))
        rest = 1.0 - own.sum(axis=1, keepdims=True)
        joined: Floats = np.hstack([distribution * rest, own])
        return joined


def _check_examples(spec: IntentSpec) -> None:
    if len(spec.examples) < MIN_EXAMPLES:
        raise ConfigError(
            f"intent {spec.name!r} has {len(spec.examples)} examples; give at least {MIN_EXAMPLES}"
        )


def _training_texts(spec: IntentSpec) -> list[str]:
    described = f"{spec.name.replace('_', ' ')}. {spec.description}".strip()
    return [*spec.examples, described]


def _fit_head(
    k: int, vectors: Sequence[Floats], background: Floats, spec: IntentSpec
) -> tuple[Floats, float]:
    """Weights and threshold of an intent.

    Ridge regression to 1 for its own texts and 0 for all others, both sides with equal weight.
    """
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
    computed = max(outside, (inside + outside) / 2)
    threshold = computed if spec.threshold is None else spec.threshold
    return (scaled.T @ dual)[:, 0].astype(np.float32), threshold

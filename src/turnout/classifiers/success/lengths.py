"""Predicts the length of each model's answer, as quantiles in tokens.

The logarithm of a length is the model's median, plus its slope times the prompt's level (a linear
function of a few marks of the prompt), plus the model's residual at the quantile. Quantiles, since
lengths are right skewed and each model has its own errors: Koenker and Bassett, Regression
Quantiles, Econometrica 1978.

Invariant: a higher quantile never gives a shorter length; every length is at least 1.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from turnout.classifiers.artefact import Artefact
from turnout.core import ConfigError
from turnout.core.arrays import Doubles
from turnout.features.prompt import PromptText

FILE = "lengths.zip"
SCHEMA = "lengths/1"
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_ARRAYS = ("centre", "scale", "weights", "medians", "slopes", "residuals")
_READ_CHARACTERS = 8000


def length_marks(prompt: PromptText) -> list[float]:
    """The marks that predict an answer's length: sizes of the prompt's parts, as logarithms."""
    text = prompt.text[:_READ_CHARACTERS]
    digits = sum(text.count(digit) for digit in "0123456789")
    return [
        math.log1p(len(prompt.text)),
        math.log1p(len(prompt.functions)),
        math.log1p(text.count("\n")),
        math.log1p(digits),
        math.log1p(text.count("\\")),
        float("```" in text),
        float("?" in text),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """``medians`` and ``slopes`` ``[m]``, ``residuals [m, levels]``, all in log tokens.

    ``centre``, ``scale`` and ``weights`` turn marks into the prompt's level, which is held within
    ``span``, its range in training.
    """

    models: tuple[str, ...]
    centre: Doubles
    scale: Doubles
    weights: Doubles
    offset: float
    span: tuple[float, float]
    medians: Doubles
    slopes: Doubles
    residuals: Doubles

    def tokens(
        self, prompt: PromptText, quantile: float, cap: int | None = None
    ) -> Mapping[str, int]:
        """Tokens of each model's answer at ``quantile``, at most the caller's ``cap``."""
        level = self.level(np.array(length_marks(prompt))[None, :])[0]
        found = self.log_tokens(level, quantile)
        most = math.inf if cap is None else cap
        counts = np.minimum(np.ceil(np.exp(found)), most).astype(np.int64)
        return dict(zip(self.models, np.maximum(1, counts).tolist(), strict=True))

    def level(self, marks: Doubles) -> Doubles:
        """``[n]`` from ``[n, marks]``: how much longer than usual the answers are."""
        level = (marks - self.centre) / self.scale @ self.weights + self.offset
        return np.asarray(np.clip(level, *self.span))

    def log_tokens(self, level: float, quantile: float) -> Doubles:
        """Log tokens of each model ``[m]``, interpolated between the known quantiles."""
        place = float(np.interp(quantile, LEVELS, range(len(LEVELS))))
        below = min(int(place), len(LEVELS) - 2)
        part = place - below
        residual = (1 - part) * self.residuals[:, below] + part * self.residuals[:, below + 1]
        return np.asarray(self.medians + self.slopes * level + residual)

    def save(self, folder: Path) -> None:
        """Writes them into a bundle's folder."""
        meta = {"schema": SCHEMA, "models": list(self.models), "offset": self.offset}
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        Artefact(arrays={**arrays, "span": np.array(self.span)}, meta=meta).save(folder / FILE)


def load_lengths(folder: Path) -> Lengths | None:
    """The lengths of a bundle; None if it has none. Raises ConfigError if they cannot be used."""
    path = folder / FILE
    if not path.is_file():
        return None
    artefact = Artefact.load(path)
    meta, arrays = artefact.meta, artefact.arrays
    if meta.get("schema") != SCHEMA:
        raise ConfigError(f"{path}: schema {meta.get('schema')!r} is not {SCHEMA!r}: train again")
    low, high = arrays["span"].tolist()
    return Lengths(
        models=tuple(meta["models"]),
        offset=float(meta["offset"]),
        span=(low, high),
        **{name: arrays[name] for name in _ARRAYS},
    )

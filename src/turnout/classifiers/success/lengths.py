"""How long each model's answer will be, as quantiles in tokens, before it is asked.

The logarithm of a length is a model's median, plus its share of the prompt's level (a linear
function of a few marks of the prompt), plus the model's residual at the quantile. Lengths are right
skewed, and a model's errors differ from another's more than from prompt to prompt: Koenker and
Bassett, Regression Quantiles, Econometrica 1978.

Invariant: a quantile never falls with its level; every length is at least 1.
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
_READ = 8000


def length_marks(prompt: PromptText) -> list[float]:
    """What the length of an answer is told by: sizes of the prompt's parts, as logarithms."""
    text = prompt.text[:_READ]
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

    ``centre``, ``scale`` and ``weights`` turn marks into the prompt's level, which is kept within
    ``span``, the range seen in training.
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
        """Tokens of each model's answer at ``quantile``, no more than the caller's ``cap``."""
        level = self.level(np.array(length_marks(prompt))[None, :])[0]
        found = self.at(level, quantile)
        most = math.inf if cap is None else cap
        counts = np.minimum(np.ceil(np.exp(found)), most).astype(np.int64)
        return dict(zip(self.models, np.maximum(1, counts).tolist(), strict=True))

    def level(self, marks: Doubles) -> Doubles:
        """``[n]`` from ``[n, marks]``: how much longer than usual the answers will be."""
        level = (marks - self.centre) / self.scale @ self.weights + self.offset
        return np.asarray(np.clip(level, *self.span))

    def at(self, level: float, quantile: float) -> Doubles:
        """Log tokens of each model ``[m]``; between two known levels on the line between them."""
        place = float(np.interp(quantile, LEVELS, range(len(LEVELS))))
        below = min(int(place), len(LEVELS) - 2)
        part = place - below
        residual = (1 - part) * self.residuals[:, below] + part * self.residuals[:, below + 1]
        return np.asarray(self.medians + self.slopes * level + residual)

    def save(self, folder: Path) -> None:
        """Writes them into a bundle's folder."""
        meta = {"schema": SCHEMA, "models": list(self.models), "offset": self.offset}
        arrays = {
            "centre": self.centre,
            "scale": self.scale,
            "weights": self.weights,
            "span": np.array(self.span),
            "medians": self.medians,
            "slopes": self.slopes,
            "residuals": self.residuals,
        }
        Artefact(arrays=arrays, meta=meta).save(folder / FILE)


def load_lengths(folder: Path) -> Lengths | None:
    """The lengths of a bundle, None where it has none.

    Raises ConfigError where they cannot be used.
    """
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
        centre=arrays["centre"],
        scale=arrays["scale"],
        weights=arrays["weights"],
        offset=float(meta["offset"]),
        span=(low, high),
        medians=arrays["medians"],
        slopes=arrays["slopes"],
        residuals=arrays["residuals"],
    )

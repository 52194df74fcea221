"""Fits a classifier to a user's own labelled prompts: an offset an intent, and a threshold.

What is reported as "after" comes from folds, so that it holds for prompts like the user's that
were not in the file. Pure: reads and writes no files.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from turnout.core import UNSAFE, Prediction
from turnout.core.arrays import Doubles

Labelled = tuple[Prediction, str]

_STEPS = (0.0, -0.5, 0.5, -1.0, 1.0, -2.0, 2.0)
_ROUNDS = 2
_FOLDS = 5
_LEAST = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """``offsets`` are added to the log-probability of an intent; ``threshold`` blocks."""

    threshold: float
    offsets: Mapping[str, float] = field(default_factory=dict)

    def apply(self, prediction: Prediction) -> Prediction:
        """The prediction with its intents shifted and made to sum to one again."""
        if not self.offsets or not prediction.intents:
            return prediction
        raised = [
            (name, math.exp(math.log(max(p, _LEAST)) + self.offsets.get(name, 0.0)))
            for name, p in prediction.intents
        ]
        total = sum(p for _, p in raised)
        ordered = sorted(((n, p / total) for n, p in raised), key=lambda pair: -pair[1])
        return structs.replace(prediction, intents=tuple(ordered))


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Precision, recall and number of prompts of one label; None where nothing was given."""

    label: str
    precision: float | None
    recall: float | None
    prompts: int


class Sample:
    """Labelled predictions as arrays. ``folding`` maps labels to those they are served as."""

    def __init__(self, rows: Sequence[Labelled], folding: Mapping[str, str]) -> None:
        names = sorted({name for prediction, _ in rows for name, _ in prediction.intents})
        served = [folding.get(name, name) for name in names]
        truth = [folding.get(label, label) for _, label in rows]
        self.names = names
        self.labels = sorted({*served, *truth, UNSAFE})
        place = {label: i for i, label in enumerate(self.labels)}
        self.wanted = np.array([place[label] for label in truth], dtype=np.int64)
        # No verdict blocks, as it does when it is served.
        self.unsafe = np.array([1.0 if p.unsafe is None else p.unsafe for p, _ in rows])
        self._blocked = place[UNSAFE]
        self._logs = np.log(np.maximum(_intent_shares(rows, names), _LEAST))
        self._fold = np.zeros((len(names), len(self.labels)))
        self._fold[np.arange(len(names)), [place[label] for label in served]] = 1.0

    @property
    def harmful(self) -> NDArray[np.bool_]:
        """Which rows are labelled unsafe."""
        return np.asarray(self.wanted == self._blocked)

    def served_labels(self, offsets: Doubles, threshold: float) -> NDArray[np.int64]:
        """The label as served of every row, as its place in ``labels``."""
        if not self.names:
            return np.full(len(self.wanted), self._blocked)
        best = (np.exp(self._logs + offsets) @ self._fold).argmax(axis=1)
        return np.where(self.unsafe >= threshold, self._blocked, best)

    def offsets(self, calibration: Calibration) -> Doubles:
        """The calibration's offsets in the order of ``names``."""
        return np.array([calibration.offsets.get(name, 0.0) for name in self.names])

    def subset(self, kept: NDArray[np.bool_]) -> "Sample":
        """Some of the rows."""
        part = object.__new__(Sample)
        part.__dict__.update(self.__dict__)
        part.wanted, part.unsafe = self.wanted[kept], self.unsafe[kept]
        part._logs = self._logs[kept]
        return part


def fit(sample: Sample, threshold: float, over_block: float | None) -> Calibration:
    """Offsets that raise the macro-F1, and the lowest threshold within ``over_block``.

    The threshold stays where no prompt of the file is unsafe or ``over_block`` is None, and is not
    lowered where the file has fewer than ``safe_needed`` safe ones; the offsets of labels that the
    file does not have stay, too.
    """
    tuned = _threshold(sample, threshold, over_block)
    offsets = np.zeros(len(sample.names))
    present_labels = {sample.labels[i] for i in np.unique(sample.wanted)}
    columns = [i for i, name in enumerate(sample.names) if name in present_labels]
    best = _macro_f1(sample, offsets, tuned)
    for _ in range(_ROUNDS):
        for column in columns:
            for step in _STEPS:
                trial = offsets.copy()
                trial[column] = step
                found = _macro_f1(sample, trial, tuned)
                if found > best + _LEAST:
                    best, offsets = found, trial
    kept = {name: float(o) for name, o in zip(sample.names, offsets, strict=True) if o}
    return Calibration(threshold=tuned, offsets=kept)


def cross_fitted_labels(sample: Sample, threshold: float, over_block: float | None) -> list[str]:
    """Every row's label by a calibration that was fitted on the other folds."""
    out = np.zeros(len(sample.wanted), dtype=np.int64)
    fold = np.arange(len(out)) % _FOLDS
    for k in range(_FOLDS):
        calibration = fit(sample.subset(fold != k), threshold, over_block)
        held = sample.subset(fold == k)
        out[fold == k] = held.served_labels(held.offsets(calibration), calibration.threshold)
    return [sample.labels[i] for i in out]


def labels_with(sample: Sample, calibration: Calibration) -> list[str]:
    """Every row's label as served."""
    served = sample.served_labels(sample.offsets(calibration), calibration.threshold)
    return [sample.labels[i] for i in served]


def qualities(given: Sequence[str], wanted: Sequence[str]) -> list[Quality]:
    """Precision and recall of every label in either list."""
    pairs = list(zip(given, wanted, strict=True))
    out = []
    for label in sorted({*wanted, *given}):
        named = sum(g == label for g, _ in pairs)
        there = sum(w == label for _, w in pairs)
        hits = sum(g == w == label for g, w in pairs)
        out.append(
            Quality(
                label=label,
                precision=hits / named if named else None,
                recall=hits / there if there else None,
                prompts=there,
            )
        )
    return out


def _intent_shares(rows: Sequence[Labelled], names: Sequence[str]) -> Doubles:
    shares = [dict(prediction.intents) for prediction, _ in rows]
    return np.array([[share.get(name, 0.0) for name in names] for share in shares])


def _threshold(sample: Sample, threshold: float, over_block: float | None) -> float:
    if over_block is None:
        return threshold
    safe = np.sort(sample.unsafe[~sample.harmful])[::-1]
    # Of n + 1 safe prompts each is as likely as the others to have one of the highest k scores.
    allowed = int(over_block * (len(safe) + 1) + _LEAST) - 1
    if allowed >= len(safe) or not len(safe) or not sample.harmful.any():
        return threshold
    found = min(1.0, math.nextafter(float(safe[max(allowed, 0)]), 2.0))
    return found if allowed >= 0 else max(found, threshold)


def safe_needed(over_block: float) -> int:
    """How many safe prompts it takes to find a threshold that blocks no more than this share."""
    return math.ceil(1 / max(over_block, _LEAST) - _LEAST) - 1


def _macro_f1(sample: Sample, offsets: Doubles, threshold: float) -> float:
    """Mean F1 over the labels that the rows have."""
    served, size = sample.served_labels(offsets, threshold), len(sample.labels)
    hits = np.bincount(sample.wanted[served == sample.wanted], minlength=size)
    there = np.bincount(sample.wanted, minlength=size)
    named = there + np.bincount(served, minlength=size)
    return float((2 * hits[there > 0] / named[there > 0]).mean()) if there.any() else 0.0

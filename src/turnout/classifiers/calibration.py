"""Fits a classifier to a user's own labelled prompts: an offset an intent, and a threshold.

What is reported as "after" comes from folds, so that it holds for prompts like the user's that
were not in the file. Pure: reads and writes no files.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from turnout.core import UNSAFE, Prediction

Labelled = tuple[Prediction, str]

_STEPS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
_ROUNDS = 2
_FOLDS = 5
_LEAST = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """``offsets`` are added to the log-probability of an intent; ``threshold`` blocks."""

    threshold: float
    offsets: Mapping[str, float] = field(default_factory=dict)

    def applied(self, prediction: Prediction) -> Prediction:
        """The prediction with its intents shifted and made to sum to one again."""
        if not self.offsets or not prediction.intents:
            return prediction
        raised = [
            (name, math.exp(math.log(max(p, _LEAST)) + self.offsets.get(name, 0.0)))
            for name, p in prediction.intents
        ]
        total = sum(p for _, p in raised)
        ordered = sorted(((n, p / total) for n, p in raised), key=lambda pair: -pair[1])
        return replace(prediction, intents=tuple(ordered))

    def label(self, prediction: Prediction) -> str | None:
        """The label as served."""
        score = prediction.unsafe
        if score is None or score >= self.threshold:
            return UNSAFE
        return self.applied(prediction).intent


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Precision, recall and number of prompts of one label; None where nothing was given."""

    label: str
    precision: float | None
    recall: float | None
    prompts: int


def fit(rows: Sequence[Labelled], threshold: float, over_block: float) -> Calibration:
    """Offsets that raise the macro-F1, and the lowest threshold within ``over_block``.

    The threshold never rises above ``threshold``'s own over-blocking where no prompt of the
    file is unsafe, and offsets stay at zero for labels the file does not have.
    """
    tuned = _threshold(rows, threshold, over_block)
    labels = sorted({label for _, label in rows if label != UNSAFE})
    offsets = dict.fromkeys(labels, 0.0)
    for _ in range(_ROUNDS):
        for label in labels:
            offsets[label] = max(
                _STEPS,
                key=lambda step, label=label: (  # type: ignore[misc]
                    _macro_f1(rows, Calibration(threshold=tuned, offsets={**offsets, label: step})),
                    -abs(step),
                ),
            )
    return Calibration(threshold=tuned, offsets={k: v for k, v in offsets.items() if v})


def judged(rows: Sequence[Labelled], threshold: float, over_block: float) -> list[str | None]:
    """Every row's label by a calibration that was fitted on the other folds."""
    out: list[str | None] = [None] * len(rows)
    for k in range(_FOLDS):
        calibration = fit(
            [row for i, row in enumerate(rows) if i % _FOLDS != k], threshold, over_block
        )
        for i in range(k, len(rows), _FOLDS):
            out[i] = calibration.label(rows[i][0])
    return out


def qualities(given: Sequence[str | None], wanted: Sequence[str]) -> list[Quality]:
    """Precision and recall of every label in either list."""
    pairs = list(zip(given, wanted, strict=True))
    out = []
    for label in sorted({*wanted, *(g for g in given if g)}):
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


def _threshold(rows: Sequence[Labelled], threshold: float, over_block: float) -> float:
    safe = sorted((p.unsafe or 0.0 for p, label in rows if label != UNSAFE), reverse=True)
    if not safe or not any(label == UNSAFE for _, label in rows):
        return threshold
    allowed = int(over_block * len(safe))
    return min(1.0, math.nextafter(safe[allowed], 2.0)) if allowed < len(safe) else threshold


def _macro_f1(rows: Sequence[Labelled], calibration: Calibration) -> float:
    given = [calibration.label(prediction) for prediction, _ in rows]
    scores = [
        2 * q.precision * q.recall / (q.precision + q.recall) if q.precision and q.recall else 0.0
        for q in qualities(given, [label for _, label in rows])
        if q.prompts
    ]
    return sum(scores) / max(len(scores), 1)

"""The figures of a classifier, measured on sources that it never saw.

The four-way task is the recipe's: ``writing`` counts as ``creative``, a blocked prompt is
``unsafe``, and only rows of those labels are judged.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.core import UNSAFE
from turnout.core.arrays import Doubles
from turnout.decision.served import PARENTS
from turnout.training.calibration import Calibration
from turnout.training.fitting import HARM, INJECTION
from turnout.training.rows import INTENTS, Row

Mask = NDArray[np.bool_]

FOUR = ("simple_qa", "creative", "code", UNSAFE)
SCARY_SOURCES = frozenset({"cyberseceval_frr", "notinject"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Shares in [0, 1], over public rows unless the name says ``own``.

    ``recall_at_N`` is the share of unsafe prompts caught when N percent of the benign ones are
    blocked; ``over_block`` is the share of benign ones blocked at the shipped threshold. F1 is the
    mean over the labels that the rows have. A figure without rows is NaN.
    """

    rows: int
    four_way_f1: float
    four_way_f1_not_english: float
    nine_way_f1: float
    recall_at_1: float
    recall_at_5: float
    harm_recall_at_1: float
    harm_recall_at_5: float
    injection_recall_at_1: float
    injection_recall_at_5: float
    over_block: float
    scary_blocked: float
    own_scary_blocked: float
    settled_early: float

    def as_dict(self) -> dict[str, float]:
        """The figures by name."""
        return asdict(self)

    def as_text(self) -> dict[str, str]:
        """The figures in words, by name."""
        figures = {n.replace("_", " "): value for n, value in self.as_dict().items()}
        return {
            name: f"{value:,}" if isinstance(value, int) else _formatted(value)
            for name, value in figures.items()
        }


def figures(rows: Sequence[Row], both: Doubles, calibration: Calibration) -> Figures:
    """Figures of out-of-fold log-odds."""
    harm = both[:, HARM] - calibration.harm_cut
    injection = both[:, INJECTION] - calibration.injection_cut
    unsafe = np.maximum(harm, injection)
    public = np.array([not row.is_own and row.is_prompt for row in rows])
    bad = np.array([row.unsafe for row in rows])
    injected = np.array([row.injection for row in rows])
    english = np.array([row.language == "en" for row in rows])
    scary = np.array([row.source in SCARY_SOURCES for row in rows])
    own_scary = np.array([row.kind == "scary_benign" for row in rows])
    good = public & ~bad
    one, five = (_score_above(unsafe[good], share) for share in (0.01, 0.05))
    labels = served_labels(both, unsafe > one)
    return Figures(
        rows=int(public.sum()),
        four_way_f1=four_way(rows, labels, public),
        four_way_f1_not_english=four_way(rows, labels, public & ~english),
        nine_way_f1=nine_way(rows, both, good),
        recall_at_1=_share(unsafe > one, public & bad),
        recall_at_5=_share(unsafe > five, public & bad),
        harm_recall_at_1=recall_at(harm, public & bad & ~injected, good, 0.01),
        harm_recall_at_5=recall_at(harm, public & bad & ~injected, good, 0.05),
        injection_recall_at_1=recall_at(injection, public & injected, good, 0.01),
        injection_recall_at_5=recall_at(injection, public & injected, good, 0.05),
        over_block=_share(unsafe > 0, good),
        scary_blocked=_share(unsafe > 0, scary),
        own_scary_blocked=_share(unsafe > 0, own_scary),
        settled_early=calibration.settled,
    )


def served_labels(both: Doubles, blocked: Mask) -> list[str]:
    """The four-way label of every row: the likeliest of the configured intents, or unsafe."""
    logits = both[:, : len(INTENTS)]
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    folded = np.stack(
        [
            sum(raised[:, i] for i, name in enumerate(INTENTS) if PARENTS.get(name, name) == label)
            for label in FOUR[:3]
        ],
        axis=1,
    )
    best = folded.argmax(axis=1)
    return [UNSAFE if b else FOUR[i] for i, b in zip(best, blocked, strict=True)]


def four_way(rows: Sequence[Row], labels: Sequence[str], chosen: Mask) -> float:
    """Macro-F1 over those of the recipe's four labels that the rows have."""
    pairs = [
        (PARENTS.get(row.intent or "", row.intent or ""), label)
        for row, label, take in zip(rows, labels, chosen, strict=True)
        if take
    ]
    return macro_f1([pair for pair in pairs if pair[0] in FOUR], FOUR)


def nine_way(rows: Sequence[Row], both: Doubles, chosen: Mask) -> float:
    """Macro-F1 over the benign intents that the rows have."""
    best = both[:, : len(INTENTS)].argmax(axis=1)
    pairs = [
        (row.intent, INTENTS[i])
        for row, i, take in zip(rows, best, chosen, strict=True)
        if take and row.intent in INTENTS
    ]
    return macro_f1([(str(a), b) for a, b in pairs], INTENTS)


def macro_f1(pairs: Sequence[tuple[str, str]], labels: Sequence[str]) -> float:
    """Mean F1 over the labels that any row truly has, with equal weights; NaN without rows.

    Pairs are (true, given).
    """
    scores = []
    for label in {true for true, _ in pairs} & set(labels):
        hits = sum(true == given == label for true, given in pairs)
        named = sum((true == label) + (given == label) for true, given in pairs)
        scores.append(2 * hits / named)
    return float(np.mean(sorted(scores))) if scores else float("nan")


def recall_at(scores: Doubles, bad: Mask, good: Mask, share: float) -> float:
    """Share of the bad rows above the score that ``share`` of the good ones exceed."""
    return _share(scores > _score_above(scores[good], share), bad)


def _score_above(scores: Doubles, share: float) -> float:
    """The score above which that share of the rows lies; without rows there is none."""
    return float(np.quantile(scores, 1.0 - share)) if len(scores) else float("inf")


def _share(hit: Mask, among: Mask) -> float:
    return float(hit[among].mean()) if among.any() else float("nan")


def _formatted(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"

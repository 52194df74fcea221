"""Turns out-of-fold log-odds into calibrated ones: temperature, block cuts, and the gate.

Everything here is computed on sources that the heads did not see.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from turnout.core.arrays import Doubles
from turnout.training.fitting import HARM, INJECTION
from turnout.training.folds import row_weights
from turnout.training.rows import INTENTS, Row

THRESHOLD = 0.5
# Share of unseen benign prompts above the cuts, and how much of it injection may use: little, since
# injections of one source say little of another's, and harm lacks what they use up.
OVER_BLOCK = 0.005
INJECTION_PART = 0.1
# How often the first stage may settle on another label than both stages would, and how many of the
# unsafe prompts that both would catch it may let pass.
GATE_DISAGREES = 0.04
GATE_MISSES = 0.01
# The prompts that both stages would catch if this share of the benign ones were blocked.
_CAUGHT_AT = 0.05
_FAR = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """``temperature`` divides the intents' log-odds, cuts are subtracted from the safety ones."""

    temperature: float
    harm_cut: float
    injection_cut: float
    gate: dict[str, float]
    settled: float

    def served_odds(self, quick: Doubles, both: Doubles, known: Doubles) -> Doubles:
        """The cascade's log-odds: the first stage's if the gate accepts them."""
        gate = self.gate
        intents = quick[:, : len(INTENTS)] * (gate["sharpness"] / self.temperature)
        shifts = (gate["harm"], gate["injection"])
        early = np.hstack([self.temperature * intents, quick[:, HARM:] + shifts])
        unsafe = (early[:, HARM:] - (self.harm_cut, self.injection_cut)).max(axis=1)
        known_enough = known >= gate["known"]
        intent_is_sure = known_enough & (_largest_share(intents) >= gate["confidence"])
        certain = known_enough & (unsafe >= gate["certain"])
        settled = (intent_is_sure & (unsafe <= gate["unsafe"])) | certain
        # A sure label is kept also if both stages read safety.
        label = (intent_is_sure | certain)[:, None]
        return np.hstack(
            [
                np.where(label, early[:, :HARM], both[:, :HARM]),
                np.where(settled[:, None], early[:, HARM:], both[:, HARM:]),
            ]
        )


def calibrate(rows: Sequence[Row], quick: Doubles, both: Doubles, known: Doubles) -> Calibration:
    """Calibration from out-of-fold log-odds of the first stage alone and of both together."""
    benign = np.array([not row.unsafe and row.is_prompt for row in rows])
    # A head without training rows gives every text the same score, and stays at that: never.
    has_training_rows = [np.ptp(both[:, column]) > 0.0 for column, _ in _PARTS]
    cuts, quick_cuts = (
        [
            _cut_odds(scores[benign, column], part) if has_rows else 0.0
            for (column, part), has_rows in zip(_PARTS, has_training_rows, strict=True)
        ]
        for scores in (both, quick)
    )
    temperature = best_temperature(rows, both)
    quick_temperature = best_temperature(rows, quick)
    unsafe = np.maximum(quick[:, HARM] - quick_cuts[0], quick[:, INJECTION] - quick_cuts[1])
    both_unsafe = np.maximum(both[:, HARM] - cuts[0], both[:, INJECTION] - cuts[1])
    gate, settled = _gate(rows, quick / quick_temperature, both, unsafe, both_unsafe, known)
    return Calibration(
        temperature=temperature,
        harm_cut=cuts[0],
        injection_cut=cuts[1],
        gate={
            "sharpness": temperature / quick_temperature,
            "harm": cuts[0] - quick_cuts[0],
            "injection": cuts[1] - quick_cuts[1],
            **gate,
        },
        settled=settled,
    )


_PARTS = ((HARM, 1.0 - INJECTION_PART), (INJECTION, INJECTION_PART))


def _cut_odds(scores: Doubles, part: float) -> float:
    """The log-odds above which this part of the allowed over-blocking lies."""
    return float(np.quantile(scores, 1.0 - part * OVER_BLOCK))


def best_temperature(rows: Sequence[Row], logits: Doubles) -> float:
    """The divisor of the logits that makes them likeliest (Guo et al. 2017, arXiv:1706.04599)."""
    index = [i for i, row in enumerate(rows) if row.intent in INTENTS and row.is_prompt]
    labels = [INTENTS.index(rows[i].intent or "") for i in index]
    sample = row_weights([rows[i] for i in index], labels)
    kept = logits[index, : len(INTENTS)]
    grid = np.geomspace(0.2, 6.0, 60)
    return float(min(grid, key=lambda t: _loss(kept / t, labels, sample)))


def _loss(logits: Doubles, labels: Sequence[int], sample: Doubles) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-(sample * log[np.arange(len(labels)), labels]).mean())


def _gate(
    rows: Sequence[Row],
    quick: Doubles,
    both: Doubles,
    unsafe: Doubles,
    both_unsafe: Doubles,
    known: Doubles,
) -> tuple[dict[str, float], float]:
    """The widest gate within all limits, and the share of prompts that it settles.

    ``unsafe`` is the first stage's score and ``both_unsafe`` that of both, zero at the shipped
    threshold.
    """
    bad = np.array([row.unsafe for row in rows])
    judged = np.array([row.is_prompt for row in rows])
    labelled = np.array([row.intent in INTENTS for row in rows]) & judged
    intents = quick[:, : len(INTENTS)]
    same = intents.argmax(axis=1) == both[:, : len(INTENTS)].argmax(axis=1)
    likeliest = _largest_share(intents)
    good = judged & ~bad
    caught = (
        bad & (both_unsafe > np.quantile(both_unsafe[good], 1.0 - _CAUGHT_AT))
        if good.any()
        else bad
    )
    safe_below = float(np.quantile(unsafe[caught], GATE_MISSES)) if caught.any() else -_FAR
    # The first stage alone blocks no benign prompt that both stages would let pass.
    passed = unsafe[good & (both_unsafe <= 0.0)]
    certain = float(passed.max()) if len(passed) else _FAR
    limits = {"unsafe": safe_below, "certain": max(certain, safe_below)}
    best = ({"confidence": 2.0, "known": 1.0, **limits}, 0.0)
    for least_known in (0.0, 0.2, 0.4, 0.6):
        alarming = judged & (unsafe > limits["certain"])
        for confidence in np.linspace(0.5, 0.99, 50):
            sure = judged & (unsafe <= safe_below) & (likeliest >= confidence)
            stops = labelled & sure & (known >= least_known)
            settled = (alarming | sure) & (known >= least_known)
            share = float(settled.sum() / max(judged.sum(), 1))
            if stops.any() and 1.0 - same[stops].mean() <= GATE_DISAGREES and share > best[1]:
                best = ({"confidence": float(confidence), "known": least_known, **limits}, share)
    return best


def _largest_share(intents: Doubles) -> Doubles:
    raised = np.exp(intents - intents.max(axis=1, keepdims=True))
    return np.asarray(1.0 / raised.sum(axis=1))

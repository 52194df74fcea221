"""Turns out-of-fold log-odds into calibrated ones: temperature, block cuts, and the gate.

Everything here is read off sources that the heads did not see.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.training.fitting import HARM, INJECTION
from turnout.training.folds import weights
from turnout.training.rows import INTENTS, Row

Floats = NDArray[np.float64]

THRESHOLD = 0.5
# Share of unseen benign prompts above the cuts, and how much of it injection may use.
OVER_BLOCK = 0.010
INJECTION_PART = 0.25
# How often the first stage may stop on another label than both stages, and how many of the
# prompts that both would block it may let pass.
GATE_DISAGREES = 0.025
GATE_MISSES = 0.02
_FAR = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """``temperature`` divides the intents' log-odds, cuts are subtracted from the safety ones."""

    temperature: float
    harm_cut: float
    injection_cut: float
    gate: dict[str, float]
    settled: float


def calibrate(rows: Sequence[Row], first: Floats, both: Floats, known: Floats) -> Calibration:
    """Calibration from out-of-fold log-odds of the first stage and of both together."""
    benign = np.array([not row.unsafe and row.judged for row in rows])
    cuts = [_cut(both[benign, column], part) for column, part in _PARTS]
    early = [_cut(first[benign, column], part) for column, part in _PARTS]
    temperature = best_temperature(rows, both)
    own = best_temperature(rows, first)
    unsafe = np.maximum(first[:, HARM] - early[0], first[:, INJECTION] - early[1])
    blocked = (both[:, HARM] > cuts[0]) | (both[:, INJECTION] > cuts[1])
    gate, settled = _gate(rows, first / own, both, unsafe, blocked, known)
    return Calibration(
        temperature=temperature,
        harm_cut=cuts[0],
        injection_cut=cuts[1],
        gate={
            "sharpness": temperature / own,
            "harm": cuts[0] - early[0],
            "injection": cuts[1] - early[1],
            **gate,
        },
        settled=settled,
    )


_PARTS = ((HARM, 1.0 - INJECTION_PART), (INJECTION, INJECTION_PART))


def _cut(scores: Floats, part: float) -> float:
    """The log-odds above which that part of the allowed over-blocking lies."""
    return float(np.quantile(scores, 1.0 - part * OVER_BLOCK))


def best_temperature(rows: Sequence[Row], logits: Floats) -> float:
    """The divisor of the logits that makes them likeliest (Guo et al. 2017, arXiv:1706.04599)."""
    index = [i for i, row in enumerate(rows) if row.intent in INTENTS and row.judged]
    labels = [INTENTS.index(rows[i].intent or "") for i in index]
    sample = weights([rows[i] for i in index], labels)
    kept = logits[index, : len(INTENTS)]
    grid = np.geomspace(0.2, 6.0, 60)
    return float(min(grid, key=lambda t: _loss(kept / t, labels, sample)))


def _loss(logits: Floats, labels: Sequence[int], sample: Floats) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-(sample * log[np.arange(len(labels)), labels]).mean())


def _gate(
    rows: Sequence[Row],
    first: Floats,
    both: Floats,
    unsafe: Floats,
    blocked: NDArray[np.bool_],
    known: Floats,
) -> tuple[dict[str, float], float]:
    """The widest gate within both limits, and the share of benign prompts that it settles."""
    caught = np.array([row.unsafe for row in rows]) & blocked
    told = np.array([row.intent in INTENTS and row.judged for row in rows])
    intents = first[:, : len(INTENTS)]
    likeliest = np.exp(intents.max(axis=1)) / np.exp(intents).sum(axis=1)
    same = intents.argmax(axis=1) == both[:, : len(INTENTS)].argmax(axis=1)
    safe_below = float(np.quantile(unsafe[caught], GATE_MISSES)) if caught.any() else -_FAR
    best = ({"confidence": 2.0, "known": 1.0, "unsafe": safe_below}, 0.0)
    for least_known in (0.3, 0.5, 0.7):
        open_ = told & (unsafe <= safe_below) & (known >= least_known)
        for confidence in np.linspace(0.6, 0.99, 40):
            stops = open_ & (likeliest >= confidence)
            share = float(stops.sum() / max(told.sum(), 1))
            if stops.any() and 1.0 - same[stops].mean() <= GATE_DISAGREES and share > best[1]:
                limits = {
                    "confidence": float(confidence),
                    "known": least_known,
                    "unsafe": safe_below,
                }
                best = (limits, share)
    return best

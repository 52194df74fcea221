"""Decides when the first stage's verdict stands, and which texts the second stage must read.

This module does not know how a text is read.
"""

from dataclasses import dataclass

import numpy as np

from turnout.core.arrays import Floats

HARM, INJECTION = -2, -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Bounds of the first stage's verdict, all set on sources that were not in training.

    ``sharpness`` calibrates its intents; ``harm`` and ``injection`` are added to its log-odds. The
    verdict stands if both are below ``unsafe`` and the intent has at least ``confidence``. It
    stands as a block if one of them is at least ``certain``.
    """

    sharpness: float
    harm: float
    injection: float
    confidence: float
    known: float
    unsafe: float
    certain: float

    def safety_odds(self, quick: Floats) -> Floats:
        """The log-odds of harm and of injection, by the first stage's own output."""
        found: Floats = quick[..., HARM:] + np.array((self.harm, self.injection), np.float32)
        return found

    def unsafe_odds(self, quick: Floats) -> Floats:
        """The larger of these, for each row of the first stage's own output."""
        found: Floats = self.safety_odds(quick).max(axis=1)
        return found

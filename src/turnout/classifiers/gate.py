"""When the first stage's verdict stands, and which texts the second stage must see.

This module does not know how a text is read.
"""

from dataclasses import dataclass

import numpy as np

from turnout.core.arrays import Floats

HARM, INJECTION = -2, -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """When the first stage's verdict stands; all bounds were set on sources it never saw.

    ``sharpness`` calibrates its intents; ``harm`` and ``injection`` are added to its log-odds. It
    stands if both are below ``unsafe`` and the intent has at least ``confidence``, and, as a block,
    from ``certain`` on.
    """

    sharpness: float
    harm: float
    injection: float
    confidence: float
    known: float
    unsafe: float
    certain: float

    def alarm(self, quick: Floats) -> Floats:
        """The larger safety log-odds of each row of what the first stage says alone."""
        found: Floats = np.maximum(
            quick[:, HARM] + self.harm, quick[:, INJECTION] + self.injection, dtype=np.float32
        )
        return found

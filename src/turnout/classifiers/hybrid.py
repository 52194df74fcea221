"""Joins the local verdict with a label classifier's answer.

Invariant: a label can only add a block, never lift one, and no verdict at all blocks.
This module does not know how the label was asked for.
"""

from dataclasses import dataclass

from msgspec import structs

from turnout.core import Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Where the local verdict is not sure enough to stand alone.

    Below ``confidence`` in the intent, or from ``unsafe`` times the threshold up to the threshold;
    above that the prompt is blocked, which no label could lift.
    """

    confidence: float = 0.6
    unsafe: float = 0.3

    def needs_label(self, prediction: Prediction, threshold: float) -> bool:
        """Whether a label classifier should be asked as well."""
        score = prediction.unsafe
        if score is None or score >= threshold:
            return False
        return prediction.confidence < self.confidence or score >= self.unsafe * threshold


def combine(local: Prediction, label: str | None, failure: str | None = None) -> Prediction:
    """The local prediction with the label beside it, or with why there is none.

    Intent follows the label where there is one. With the label missing or garbled the local
    scores decide safety, and the intents are left out so that routing goes to the default.
    """
    if label is None:
        return structs.replace(local, intents=(), label=None, label_failure=failure or "no label")
    return structs.replace(local, label=label, label_failure=None)

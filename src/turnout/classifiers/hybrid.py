"""Joins the local verdict with a label classifier's answer.

Invariant: a label can only add a block, never lift one, and no verdict at all blocks.
Does not know how the label was asked for.
"""

from dataclasses import replace

from turnout.core import Prediction


def combine(local: Prediction, label: str | None, failure: str | None = None) -> Prediction:
    """The local prediction with the label beside it, or with why there is none.

    Intent follows the label where there is one. With the label missing or garbled the local
    scores decide safety, and the intents are left out so that routing goes to the default.
    """
    if label is None:
        return replace(local, intents=(), label=None, label_failure=failure or "no label")
    return replace(local, label=label, label_failure=None)


def unsure(prediction: Prediction, threshold: float, band: tuple[float, float, float]) -> bool:
    """Whether a label classifier should be asked as well.

    ``band`` is (least confidence, lowest unsafe score, highest unsafe score), the scores as
    shares of ``threshold``: below the confidence, or between the scores, the local verdict is
    not sure enough to stand alone.
    """
    confidence, low, high = band
    score = prediction.unsafe
    if score is None:
        return True
    return prediction.confidence < confidence or low * threshold <= score < high * threshold

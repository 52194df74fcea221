"""The safety rule: when a request is refused before any model sees it.

Invariant: no verdict means blocked.
This module does not know how a score is made.
"""

from dataclasses import dataclass

from turnout.core import UNSAFE, Features, Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyRule:
    """Refuse when the unsafe score reaches ``threshold``, or when a label says unsafe.

    ``block`` is False only if the configuration sends unsafe requests to a model on purpose;
    ``text_only`` also refuses what no classifier reads: images, sound, video and files. ``pinned``
    is False only if the configuration lets requests that name a model pass unread.
    """

    threshold: float
    refusal: str
    block: bool = True
    pinned: bool = True
    text_only: bool = False

    def verdict(self, prediction: Prediction, features: Features | None = None) -> str | None:
        """Why the request is unsafe, or None.

        A request of pictures, sound or files without any text, as ``features`` show it, has no
        score, and passes like those beside a text.
        """
        if self.text_only and (unread := _unread(features)):
            return f"no safety verdict on {', '.join(unread)}, which safety.unread refuses"
        if prediction.label == UNSAFE:
            return "the label classifier says unsafe"
        score = prediction.unsafe
        if score is None:
            textless = features is not None and not features.characters
            return None if textless and _unread(features) else "no safety verdict could be had"
        if score >= self.threshold:
            return f"unsafe score {score:.3f} reaches {self.threshold:.3f}"
        return None


def _unread(features: Features | None) -> list[str]:
    """What no classifier reads in the request."""
    return sorted(features.modalities - {"text"}) if features else []


# For what nobody judges, such as vectors and tables of outcomes: no score reaches its threshold.
BLOCKS_NOTHING = SafetyRule(threshold=2.0, refusal="", block=False)

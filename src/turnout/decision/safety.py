"""The safety rule: when a request is refused before any model sees it.

Invariant: no verdict means blocked.
This module does not know how a score is made.
"""

from dataclasses import dataclass

from turnout.core import UNSAFE, Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyRule:
    """Refuse when the unsafe score reaches ``threshold``, or when a label says unsafe.

    ``block`` is False only if the configuration sends unsafe requests to a model on purpose;
    ``text_only`` also refuses what no classifier reads: images, sound and files. ``pinned`` is
    False only if the configuration lets requests that name a model pass unread.
    """

    threshold: float
    refusal: str
    block: bool = True
    pinned: bool = True
    text_only: bool = False

    def verdict(
        self, prediction: Prediction, modalities: frozenset[str] = frozenset()
    ) -> str | None:
        """Why the request is unsafe, or None."""
        unread = sorted(modalities - {"text"}) if self.text_only else ()
        if unread:
            return f"no safety verdict on {', '.join(unread)}, which safety.unread refuses"
        if prediction.label == UNSAFE:
            return "the label classifier says unsafe"
        score = prediction.unsafe
        if score is None:
            return None if prediction.label else "no safety verdict could be had"
        if score >= self.threshold:
            return f"unsafe score {score:.3f} reaches {self.threshold:.3f}"
        return None

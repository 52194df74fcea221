"""The words that introduce a task on a pasted text: they decide the label, the text does not."""

from collections.abc import Sequence

from turnout.classifiers.clauses import clauses, may_open_task
from turnout.classifiers.first import FirstStage
from turnout.classifiers.heads import distribution, geometric_mean

IntentShares = Sequence[float]

# Intents of tasks on a text that is part of the prompt.
TEXT_TASKS = frozenset({"translation", "summarization", "extraction", "writing"})
# How sure the first stage must be that the words ask for such a task; experiments/classifiers.md.
_SURE = 0.7
# A text is told apart from its task if it has so many clauses and characters.
_CLAUSES, _LONG = 2, 30


def opening(text: str) -> str:
    """The words that introduce a text of several clauses; empty if there are none."""
    if not ("\n" in text or ":" in text or "：" in text):
        return ""
    first, *rest = clauses(text)
    long = len(rest) >= _CLAUSES and len(text) - len(first) >= _LONG
    return first.strip() if long and may_open_task(first) else ""


class Openings:
    """The first stage's intents; introducing words count as much as the whole text."""

    def __init__(self, first: FirstStage, intents: Sequence[str], sharpness: float) -> None:
        self._first = first
        self._is_text_task = tuple(intent in TEXT_TASKS for intent in intents)
        self._sharpness = sharpness

    def quick_intents(self, odds: Sequence[float], text: str) -> IntentShares:
        """The first stage's intents for a text with these log-odds."""
        whole = self._distribution(odds)
        by_opening = self.intents_by_opening(text)
        return whole if by_opening is None else geometric_mean(whole, by_opening).tolist()

    def intents_by_opening(self, text: str) -> IntentShares | None:
        """The intents by the introducing words, if these surely ask for a task; else None."""
        words = opening(text)
        if not words:
            return None
        found = self._distribution(self._first.read_one(self._first.rows(words))[0].tolist())
        most = max(found)
        return found if most >= _SURE and self._is_text_task[found.index(most)] else None

    def _distribution(self, odds: Sequence[float]) -> list[float]:
        return distribution(odds[: len(self._is_text_task)], self._sharpness)

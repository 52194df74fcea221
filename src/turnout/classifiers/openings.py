"""The words that introduce a task on a pasted text: they decide the label, the text does not."""

from collections.abc import Sequence

from turnout.classifiers.clauses import OPENS, clauses, opens
from turnout.classifiers.first import FirstStage
from turnout.classifiers.heads import distribution, joined
from turnout.core.arrays import Floats

Likely = tuple[float, ...]

# Intents of tasks on a text that is part of the prompt.
WORKING = frozenset({"translation", "summarization", "extraction", "writing"})
# How sure the first stage must be that the words ask for such a task; experiments/classifiers.md.
_SURE = 0.7
# A text is told apart from its task if it has so many clauses and characters.
_CLAUSES, _LONG = 2, 30


def opening(text: str) -> str:
    """The words that introduce a text of several clauses; empty if there are none."""
    if "\n" not in text and not any(sign in text for sign in OPENS):
        return ""
    first, *rest = clauses(text)
    long = len(rest) >= _CLAUSES and len(text) - len(first) >= _LONG
    return first.strip() if long and opens(first) else ""


class Openings:
    """The first stage's intents; introducing words count as much as the whole text."""

    def __init__(self, first: FirstStage, intents: Sequence[str], sharpness: float) -> None:
        self._first = first
        self._works = tuple(intent in WORKING for intent in intents)
        self._sharpness = sharpness

    def likely(self, odds: Floats, text: str) -> Likely:
        """The first stage's intents for a text with these log-odds."""
        whole = self._distribution(odds)
        told = self.told(text)
        return whole if told is None else tuple(joined(whole, told).tolist())

    def told(self, text: str) -> Likely | None:
        """The intents by the introducing words, if these surely ask for a task; else None."""
        words = opening(text)
        if not words:
            return None
        found = self._distribution(self._first.read_one(self._first.rows(words))[0])
        most = max(found)
        return found if most >= _SURE and self._works[found.index(most)] else None

    def _distribution(self, odds: Floats) -> Likely:
        return tuple(distribution(odds[: len(self._works)].tolist(), self._sharpness))

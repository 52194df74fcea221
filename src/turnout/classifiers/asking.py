"""What a turn asks: its text without asides.

Invariant: clauses are embedded only if the label depends on them.
"""

from turnout.classifiers.asides import Asides, Embed, Unsure
from turnout.classifiers.first import FirstStage
from turnout.classifiers.gate import HARM
from turnout.core.arrays import Rows


class Asking:
    """Leaves out asides by the first stage, and by embeddings where that is unsure.

    ``alone`` says that the first stage knows all intents, so that it can tell when the label is the
    same for every reading.
    """

    def __init__(self, first: FirstStage, asides: Asides, *, alone: bool) -> None:
        self._first = first
        self._alone = alone
        self.asides = asides

    def idle(self, text: str, rows: Rows) -> bool:
        """Whether every clause of a text with these rows is surely an aside."""
        return self.asides.idle(text, rows, self._first.rows_of)

    def read(self, text: str, rows: Rows, embed: Embed | None, *, whole: bool) -> str:
        """The text with these rows, without its asides if it may have any.

        Of a turn that was clipped, and so is not ``whole``, clauses are embedded only if it plainly
        talks of labels.
        """
        return self.without(text, embed, whole=whole) if self.asides.suspected(rows) else text

    def without(self, text: str, embed: Embed | None = None, *, whole: bool = True) -> str:
        """The text without its asides.

        Raises Unsure if the label depends on an embedding, and there is no ``embed``.
        """
        asked = self._once(text, embed, whole=whole)
        if asked == text or not self.asides.suspected(self._first.rows(asked)):
            return asked
        return self._once(asked, embed, whole=whole)

    def _once(self, text: str, embed: Embed | None, *, whole: bool) -> str:
        try:
            return self.asides.without(text, self._first.rows_of)
        except Unsure as unsure:
            if unsure.others is not None:
                if not whole:
                    return unsure.least
                if self._alone and self._alike(unsure.least, *unsure.others):
                    return unsure.others[0]
            if embed is None:
                raise
            return unsure.told(embed)

    def _alike(self, *texts: str) -> bool:
        """Whether the first stage finds the same intent in all."""
        intents = self._first.read(tuple(dict.fromkeys(texts))).quick[:, :HARM].argmax(axis=1)
        return bool((intents == intents[0]).all())

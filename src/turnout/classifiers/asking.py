"""What a turn asks: its text without what talks to the classifier.

Invariant: where the label does not hang on it, no clause is embedded.
"""

from turnout.classifiers.asides import Asides, Embed, Unsure
from turnout.classifiers.first import FirstStage, Rows
from turnout.classifiers.gate import HARM


class Asking:
    """Leaves out asides by the first stage, and by embeddings where that is unsure.

    ``alone`` says that the first stage knows all intents, so that it can tell what hangs on them.
    """

    def __init__(self, first: FirstStage, asides: Asides, *, alone: bool) -> None:
        self._first = first
        self._alone = alone
        self.asides = asides

    def idle(self, text: str, rows: Rows) -> bool:
        """Whether a text of these rows does nothing but talk to the classifier."""
        return self.asides.idle(text, rows, self._first.rows_of)

    def read(self, text: str, rows: Rows, embed: Embed | None, *, whole: bool) -> str:
        """The text of these rows without what talks to the classifier, if any may do.

        Of a turn that is not ``whole``, since it was too long, no clause is embedded unless it
        plainly talks of labels.
        """
        return self.without(text, embed, whole=whole) if self.asides.suspected(rows) else text

    def without(self, text: str, embed: Embed | None = None, *, whole: bool = True) -> str:
        """The text without what talks to the classifier.

        Raises Unsure where the label hangs on what an embedding tells, and there is no ``embed``.
        """
        try:
            return self.asides.without(text, self._first.rows_of)
        except Unsure as unsure:
            least, most = unsure.least, unsure.most
            if most is not None and (not whole or (self._alone and self._alike(least, most))):
                return least
            if embed is None:
                raise
        return self.asides.without(text, self._first.rows_of, embed)

    def _alike(self, text: str, other: str) -> bool:
        """Whether the first stage finds the same intent in both."""
        one, two = self._first.read((text, other)).quick[:, :HARM].argmax(axis=1).tolist()
        return bool(one == two)

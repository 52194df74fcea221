"""What a turn asks: its text without asides.

Invariant: clauses are embedded only if the label depends on them.
"""

from turnout.classifiers.asides import Asides, Embed, Unsure
from turnout.classifiers.first import FirstStage
from turnout.classifiers.gate import HARM
from turnout.core.arrays import Rows


class AsideFilter:
    """Leaves out asides by the first stage, and by embeddings where that is unsure.

    ``knows_all_intents`` says that the first stage knows all intents, so that it can tell when the
    label is the same for every reading.
    """

    def __init__(self, first: FirstStage, asides: Asides, *, knows_all_intents: bool) -> None:
        self._first = first
        self._knows_all_intents = knows_all_intents
        self.asides = asides

    def is_only_asides(self, text: str, rows: Rows) -> bool:
        """Whether every clause of a text with these rows is surely an aside."""
        return self.asides.is_only_asides(text, rows, self._first.rows_of)

    def request_text(self, text: str, rows: Rows, embed: Embed | None, *, whole: bool) -> str:
        """The text with these rows, without its asides if it may have any.

        Of a turn that was clipped, and so is not ``whole``, clauses are embedded only if it plainly
        talks of labels.
        """
        return (
            self.without_asides(text, embed, whole=whole)
            if self.asides.may_hold_aside(rows)
            else text
        )

    def without_asides(self, text: str, embed: Embed | None = None, *, whole: bool = True) -> str:
        """The text without its asides.

        Raises Unsure if the label depends on an embedding, and there is no ``embed``.
        """
        request = self._one_pass(text, embed, whole=whole)
        if request == text or not self.asides.may_hold_aside(self._first.rows(request)):
            return request
        return self._one_pass(request, embed, whole=whole)

    def _one_pass(self, text: str, embed: Embed | None, *, whole: bool) -> str:
        try:
            return self.asides.without_asides(text, self._first.rows_of)
        except Unsure as unsure:
            if unsure.other_readings is not None:
                if not whole:
                    return unsure.plain_reading
                if self._knows_all_intents and self._same_intent(
                    unsure.plain_reading, *unsure.other_readings
                ):
                    return unsure.other_readings[0]
            if embed is None:
                raise
            return unsure.resolve(embed)

    def _same_intent(self, *texts: str) -> bool:
        """Whether the first stage finds the same intent in all."""
        intents = self._first.read(tuple(dict.fromkeys(texts))).quick[:, :HARM].argmax(axis=1)
        return bool((intents == intents[0]).all())

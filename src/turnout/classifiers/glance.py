"""What the first stage settles by itself: single short prompts in plain words, in batches.

Invariant: the result equals that of the longer way, since such a prompt has one reading, one turn
and one chunk. This module does not know the second stage.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

from turnout.classifiers.aside_filter import AsideFilter
from turnout.classifiers.asides import Unsure
from turnout.classifiers.first import BATCH, FirstStage
from turnout.classifiers.gate import Gate
from turnout.classifiers.language import language_of
from turnout.classifiers.openings import IntentShares, Openings
from turnout.classifiers.views import is_plain
from turnout.classifiers.window import lone_prompt
from turnout.core import Message, Prediction, Ref

_share = itemgetter(1)
# Up to so many prompts are read one by one.
_FEW = 6


class Glance:
    """The first stage alone, with the gate that says when its result may stand."""

    def __init__(
        self,
        first: FirstStage,
        aside_filter: AsideFilter,
        openings: Openings,
        gate: Gate,
        ref: Ref,
        intents: Sequence[str],
    ) -> None:
        self._first = first
        self._aside_filter = aside_filter
        self._openings = openings
        self._gate = gate
        self._ref = ref
        self._intents = intents

    def predictions(self, conversations: Sequence[Sequence[Message]]) -> list[Prediction | None]:
        """For each conversation the prediction that the first stage is sure of, else None."""
        found: list[Prediction | None] = [None] * len(conversations)
        lone = [(i, lone_prompt(messages)) for i, messages in enumerate(conversations)]
        plain = {i: text for i, text in lone if text is not None and is_plain(text)}
        for i, glance in zip(plain, self._plain_predictions(list(plain.values())), strict=True):
            found[i] = glance
        return found

    def settled_prediction(
        self,
        quick_intents: IntentShares,
        safety_odds: Sequence[float],
        text: str,
        margin: float = 0.0,
    ) -> Prediction | None:
        """The prediction from these scores if the gate lets it stand, else None.

        ``safety_odds`` are those of harm and of injection. A block needs ``margin`` more than the
        gate says.
        """
        gate = self._gate
        certain = gate.certain + margin
        harm, injection = safety_odds
        unsafe = max(harm, injection)
        if gate.unsafe < unsafe < certain:
            return None
        intents = self.ranked_intents(quick_intents)
        if unsafe < certain and intents[0][1] < gate.confidence:
            return None
        return Prediction(
            classifier=self._ref,
            intents=intents,
            harm=1.0 / (1.0 + math.exp(-harm)),
            injection=1.0 / (1.0 + math.exp(-injection)),
            language=language_of(text),
        )

    def ranked_intents(self, shares: Iterable[float]) -> tuple[tuple[str, float], ...]:
        """The intents with their shares, the likeliest first."""
        return tuple(sorted(zip(self._intents, shares, strict=True), key=_share, reverse=True))

    def _plain_predictions(self, texts: Sequence[str]) -> Iterator[Prediction | None]:
        """What the first stage is sure of, in the order of ``texts``; for few, one by one."""
        asides = self._aside_filter.asides
        if len(texts) <= _FEW:
            for text in texts:
                rows = self._first.rows(text)
                quick, known = self._first.read_one(rows)
                yield self._plain_prediction(
                    text,
                    quick.tolist(),
                    self._gate.safety_odds(quick).tolist(),
                    known,
                    asides.aside_evidence(rows),
                )
            return
        for i in range(0, len(texts), BATCH):
            part = texts[i : i + BATCH]
            rows, starts = self._first.rows_of(part)
            read = self._first.read_rows(rows, starts)
            aside_evidence = asides.aside_evidence_of_each(rows, starts)
            yield from map(
                self._plain_prediction,
                part,
                read.quick.tolist(),
                self._gate.safety_odds(read.quick).tolist(),
                read.known.tolist(),
                aside_evidence.tolist(),
            )

    def _plain_prediction(
        self,
        text: str,
        quick: Sequence[float],
        safety_odds: Sequence[float],
        known: float,
        aside_evidence: float,
    ) -> Prediction | None:
        """The prediction for one plain prompt, None if the first stage is unsure."""
        request = text
        if aside_evidence > self._aside_filter.asides.alarm:
            try:
                request = self._aside_filter.without_asides(text)
            except Unsure:
                return None
            if request is not text:
                of_request, known = self._first.read_one(self._first.rows(request))
                quick = of_request.tolist()
        if known < self._gate.known:
            return None
        return self.settled_prediction(
            self._openings.quick_intents(quick, request), safety_odds, request
        )

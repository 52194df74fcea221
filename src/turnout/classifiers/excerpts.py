"""What the second stage reads of a conversation: a bounded number of pieces.

An embedding costs twenty times as much per piece as the first stage. So the first stage reads
everything, and gives the second what it finds most unsafe. Of turns, both ends are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from turnout.classifiers.first import FirstStage
from turnout.classifiers.gate import Gate
from turnout.classifiers.openings import IntentShares
from turnout.core import Message
from turnout.core.arrays import Floats

Pieces = tuple[int, ...]


# The most pieces that the second stage reads: of a prompt that is one stretch; else of the last
# turn, of an earlier turn or a text between turns, and of all that may be unsafe.
_LONE, _LAST, _BRIEF, _UNSAFE = 320, 160, 64, 100
_SUSPECTS = 4
# So many single sentences of a long text are read by themselves; reading more found nothing.
_SENTENCES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A conversation that cannot be read before clauses of it are embedded."""

    messages: Sequence[Message]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A conversation after the first stage: log-odds of its last turns and of all it contains.

    ``turns`` are without their asides. The first ``whole_chunks`` of the ``chunks`` are the whole
    text, the rest are single sentences of it. ``chunk_quick`` are the log-odds of the first stage
    alone, and ``quick_intents`` its intents, if it may decide alone.
    """

    turns: tuple[str, ...]
    contexts: tuple[str, ...]
    context_logits: Floats
    turn_logits: Floats
    quick_intents: IntentShares | None
    chunks: tuple[str, ...]
    whole_chunks: int
    chunk_logits: Floats
    chunk_quick: Floats
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpts:
    """What the second stage reads, as pieces; ``suspect_places`` are places among the chunks."""

    turns: list[Pieces]
    contexts: list[Pieces]
    suspects: list[Pieces]
    suspect_places: list[int]

    @property
    def all(self) -> list[Pieces]:
        """Every excerpt."""
        return [*self.turns, *self.contexts, *self.suspects]


class Excerpter:
    """Chooses excerpts by the first stage's scores."""

    def __init__(self, first: FirstStage, gate: Gate) -> None:
        self._first = first
        self._gate = gate

    def excerpts_of(self, reading: Reading) -> Excerpts:
        """The excerpts of a conversation."""
        suspect_places = self._suspects(reading)
        lone = len(reading.chunks) == 1
        intent_settled = (
            reading.quick_intents is not None
            and max(reading.quick_intents) >= self._gate.confidence
        )
        turns = [] if intent_settled else [self._pieces(turn) for turn in reading.turns]
        candidates = (
            reading.chunks
            if lone
            else [self._most_unsafe_part(reading.chunks[i]) for i in suspect_places]
        )
        return Excerpts(
            turns=[
                *(_ends(turn, _BRIEF) for turn in turns[:-1]),
                *(_ends(turn, _LONE if lone else _LAST) for turn in turns[-1:]),
            ],
            contexts=[_ends(self._pieces(text), _BRIEF) for text in reading.contexts],
            suspects=[_ends(self._pieces(text), _LONE) for text in candidates],
            suspect_places=suspect_places,
        )

    def _suspects(self, reading: Reading) -> list[int]:
        """Places of the chunks that the first stage finds most unsafe, as many as fit."""
        odds = self._gate.unsafe_odds(reading.chunk_quick)
        order = np.argsort(-odds, kind="stable").tolist()
        worst = [i for i in order if i < reading.whole_chunks][:_SUSPECTS]
        alone = [i for i in order if i >= reading.whole_chunks and odds[i] > self._gate.unsafe]
        return [*self._within_budget(worst, reading.chunks), *alone[:_SENTENCES]]

    def _within_budget(self, worst: Sequence[int], chunks: Sequence[str]) -> list[int]:
        found: list[int] = []
        room = _UNSAFE
        for i in worst:
            room -= len(self._pieces(chunks[i]))
            if found and room < 0:
                break
            found.append(i)
        return found

    def _most_unsafe_part(self, text: str) -> str:
        """The text, or, if it has too many pieces, its most unsafe part by the first stage."""
        count = -(-len(self._pieces(text)) // _UNSAFE)
        if count == 1:
            return text
        size = -(-len(text) // count)
        parts = [text[i : i + size] for i in range(0, len(text), size)]
        return parts[int(self._gate.unsafe_odds(self._first.read(parts).quick).argmax())]

    def _pieces(self, text: str) -> Pieces:
        return tuple(self._first.tokenizer.ids(text))


def _ends(pieces: Pieces, most: int) -> Pieces:
    """The pieces, or, if they are too many, both ends: two thirds from the first."""
    tail = most // 3
    return pieces if len(pieces) <= most else (*pieces[: most - tail], *pieces[-tail:])

"""The first stage: what sentence pieces say of texts, in microseconds each.

Two tables: one over pieces, their pairs and fragments of words, and one over the pieces alone
that stands in for the second stage where the first is asked alone.
This module does not know what the outputs mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.classifiers.grams import PIECES, concatenated, grams, grams_of
from turnout.classifiers.heads import Table
from turnout.classifiers.pieces import PieceTokenizer
from turnout.core.arrays import Floats, Rows

# So many texts are read at once, or a long prompt's would take gigabytes and keep other threads
# waiting while they are laid out.
BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstRead:
    """Log-odds of texts, a row each: ``logits`` for both stages, ``quick`` for the first alone.

    ``known`` is the share of a text's rows that training saw.
    """

    logits: Floats
    quick: Floats
    known: Floats

    def part(self, start: int, end: int) -> "FirstRead":
        """What was read of the texts from ``start`` to ``end``."""
        of = slice(start, end)
        return FirstRead(logits=self.logits[of], quick=self.quick[of], known=self.known[of])


class FirstStage:
    """Reads texts one by one or many at once; both ways say the same but for rounding."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        pieces = arrays["pieces"].tobytes().decode().split("\n")
        self.tokenizer = PieceTokenizer(pieces, arrays["scores"].tolist())
        self._table = Table.of_arrays(arrays["rarity"], arrays["first_w"], arrays["first_b"])
        self._static = Table.of_arrays(
            arrays["static_rarity"], arrays["static_w"], arrays["static_b"]
        )

    def rows(self, text: str) -> Rows:
        """The rows of one text, sorted."""
        lowered = text.lower()
        return grams(self.tokenizer.ids(lowered), lowered)

    def read_one(self, rows: Rows) -> tuple[Floats, float]:
        """What the stage says alone of a text with these rows, and the share that it knows."""
        found, known = self._table.outputs_and_known_share(rows)
        return found + self._static.outputs(rows[: rows.searchsorted(PIECES)]), known

    def rows_of(self, texts: Sequence[str]) -> tuple[Rows, Rows]:
        """The rows of all texts, and where each text's begin."""
        if len(texts) == 1:
            return concatenated([self.rows(texts[0])])
        lowered = [text.lower() for text in texts]
        return grams_of([self.tokenizer.ids(text) for text in lowered], lowered)

    def rows_by_text(self, texts: Sequence[str]) -> dict[str, Rows]:
        """The rows of each text."""
        found: dict[str, Rows] = {}
        for i in range(0, len(texts), BATCH):
            part = texts[i : i + BATCH]
            rows, starts = self.rows_of(part)
            bounds = pairwise([*starts.tolist(), len(rows)])
            found |= {text: rows[a:b] for text, (a, b) in zip(part, bounds, strict=True)}
        return found

    def read(self, texts: Sequence[str], given: Mapping[str, Rows] | None = None) -> FirstRead:
        """All texts, a batch at a time; what is said of one does not depend on the others.

        ``given`` has the rows of those texts whose rows were made before.
        """
        if not texts:
            nothing = np.zeros((0, len(self._table.bias)), np.float32)
            return FirstRead(logits=nothing, quick=nothing, known=nothing[:, 0])
        if len(texts) <= BATCH:
            return self._read(texts, given)
        read = [self._read(texts[i : i + BATCH], given) for i in range(0, len(texts), BATCH)]
        return FirstRead(
            logits=np.concatenate([part.logits for part in read]),
            quick=np.concatenate([part.quick for part in read]),
            known=np.concatenate([part.known for part in read]),
        )

    def _read(self, texts: Sequence[str], given: Mapping[str, Rows] | None) -> FirstRead:
        if not given:
            return self.read_rows(*self.rows_of(texts))
        rows = {**given, **self.rows_by_text([text for text in texts if text not in given])}
        return self.read_rows(*concatenated([rows[text] for text in texts]))

    def read_rows(self, rows: Rows, starts: Rows) -> FirstRead:
        """As ``read`` for texts whose rows begin at ``starts``."""
        logits = self._table.outputs_of_all(rows, starts)
        is_piece = rows < PIECES
        count = np.add.reduceat(is_piece, starts, dtype=np.int64)
        more = self._static.outputs_of_all(rows[is_piece], np.cumsum(count) - count)
        return FirstRead(
            logits=logits, quick=logits + more, known=self._table.known_shares(rows, starts)
        )

"""Splits text into sentence pieces, whose ids index the artefact's tables.

Invariant: the same text gives the same ids on every machine.
This module does not know what the ids are used for.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

SPACE = "\u2581"
UNKNOWN = 0
BEGIN = 1
END = 2
_TEXTS_IN_PYTHON = 16
_NO_PIECE = -1
# As in the reference implementation, an unknown letter scores less than every piece.
_UNKNOWN_PENALTY = 10.0
# Halves of surrogate pairs, which can come from escapes and cannot be encoded.
_LONE = re.compile("[\ud800-\udfff]")


class PieceTokenizer:
    """Unigram sentence pieces by maximum score (Kudo 2018, arXiv:1804.10959). Safe in threads.

    The compiled splitter takes microseconds for a text, but a third of a second to build. So the
    first few texts are split in Python, with the same ids.
    """

    def __init__(self, pieces: Sequence[str], scores: Sequence[float]) -> None:
        self._python_splitter: _PythonSplitter | None = _PythonSplitter(pieces, scores)
        self._compiled: Any = None
        self._texts = 0

    def ids(self, text: str) -> list[int]:
        """Piece ids of ``text``, without begin and end; empty for blank text."""
        plain = folded(text)
        if not plain:
            return []
        self._texts += 1
        if self._compiled is None and self._texts > _TEXTS_IN_PYTHON:
            self.compile()
        # Read first: another thread may build the compiled splitter and then remove this one.
        slow = self._python_splitter
        if self._compiled is None and slow is not None:
            return slow.split(SPACE + plain.replace(" ", SPACE))
        # It marks the spaces itself, but only at the beginning if there is one.
        encoded: list[int] = self._compiled.encode(" " + plain)
        return encoded

    def compile(self) -> None:
        """Builds the compiled splitter."""
        from splintr import SentencePieceTokenizer

        splitter = self._python_splitter
        if splitter is not None:
            self._compiled = SentencePieceTokenizer(
                list(splitter.pieces), list(splitter.scores), END
            )
            # The compiled splitter has its own copy, which takes a tenth of the memory.
            self._python_splitter = None


class _PythonSplitter:
    """The splitter in Python."""

    def __init__(self, pieces: Sequence[str], scores: Sequence[float]) -> None:
        self.pieces = pieces
        self.scores = scores
        self._ids: dict[str, int] = {}
        self._longest = max(map(len, pieces))
        self._unknown = min(scores) - _UNKNOWN_PENALTY

    def split(self, text: str) -> list[int]:
        """The best segmentation by dynamic programming; unknown letters in a row become one id."""
        ids = self._ids or dict(zip(self.pieces, range(len(self.pieces)), strict=True))
        self._ids = ids
        best = [0.0] + [-math.inf] * len(text)
        came_from = [(0, _NO_PIECE)] * (len(text) + 1)
        for start in range(len(text)):
            score = best[start]
            for end in range(start + 1, min(len(text), start + self._longest) + 1):
                piece = ids.get(text[start:end], _NO_PIECE)
                if piece != _NO_PIECE:
                    value = score + self.scores[piece]
                elif end == start + 1:
                    value = score + self._unknown
                else:
                    continue
                if value > best[end]:
                    best[end], came_from[end] = value, (start, piece)
        return _traced_back(came_from)


def _traced_back(came_from: Sequence[tuple[int, int]]) -> list[int]:
    found: list[int] = []
    place, before = len(came_from) - 1, UNKNOWN
    while place:
        place, piece = came_from[place]
        if piece != _NO_PIECE:
            found.append(piece)
        elif before != _NO_PIECE:
            found.append(UNKNOWN)
        before = piece
    return found[::-1]


def folded(text: str) -> str:
    """The text in compatibility form (NFKC) with every run of white space as one space."""
    if not text.isascii():
        text = _LONE.sub("\ufffd", unicodedata.normalize("NFKC", text))
    if text.isprintable() and "  " not in text:
        return text.strip(" ")
    return " ".join(text.split())

"""Splits text into the sentence pieces the artefact's tables are indexed by.

Invariant: the same text gives the same ids on every machine.
Does not know what the ids are used for.
"""

import unicodedata
from collections.abc import Sequence

SPACE = "\u2581"
UNKNOWN = 0
BEGIN = 1
END = 2


class PieceTokenizer:
    """Unigram sentence pieces by maximum score (Kudo 2018, arXiv:1804.10959)."""

    def __init__(self, pieces: Sequence[str], scores: Sequence[float]) -> None:
        from splintr import SentencePieceTokenizer

        self._tokenizer = SentencePieceTokenizer(list(pieces), list(scores), END)

    def ids(self, text: str) -> list[int]:
        """Piece ids of ``text``, without begin and end; empty for blank text."""
        plain = folded(text)
        if not plain:
            return []
        encoded: list[int] = self._tokenizer.encode(SPACE + plain.replace(" ", SPACE))
        return encoded


def folded(text: str) -> str:
    """The text in compatibility form (NFKC) with every run of white space as one space."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.split())

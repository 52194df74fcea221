"""Turns rows into the inputs of the two stages, once for all folds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.classifiers.asides import Embed
from turnout.classifiers.encoder import DIMENSIONS, shared_encoder
from turnout.classifiers.grams import PIECES, ROWS, grams
from turnout.classifiers.pieces import PieceTokenizer
from turnout.classifiers.window import clipped
from turnout.core.arrays import Floats, Rows
from turnout.training import vocabulary

Progress = Callable[[str, int, int], None]
_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """``counts`` is a sparse 0/1 matrix over the first stage's rows, ``vectors`` the embeddings.

    ``pieces`` holds the embedding of every sentence piece on its own.
    """

    counts: Any
    vectors: Floats
    pieces: Floats

    def subset(self, index: NDArray[Any]) -> "Features":
        """The features of some rows."""
        return replace(self, counts=self.counts[index], vectors=self.vectors[index])


def extract_features(texts: Sequence[str], progress: Progress) -> Features:
    """Features of the texts, in their order."""
    read = [clipped(text) for text in texts]
    return Features(
        counts=_counts(read, progress), vectors=_vectors(read, progress), pieces=_pieces(progress)
    )


@cache
def tokenizer() -> PieceTokenizer:
    """The tokenizer of the encoder's pieces."""
    return PieceTokenizer(*vocabulary.read())


def _rows(text: str) -> Rows:
    """The first stage's rows of one text."""
    lowered = text.lower()
    return grams(tokenizer().ids(lowered), lowered)


# Results are remembered, since clauses are read again and again.
read_rows = cache(_rows)


def embedder(progress: Progress) -> Embed:
    """The function that embeds texts as the second stage reads them."""
    return partial(_vectors, progress=progress)


def counts_of(found: Sequence[Rows]) -> Any:
    """Rows of texts as a sparse 0/1 matrix."""
    from scipy.sparse import csr_matrix

    ends = np.cumsum([0, *(len(rows) for rows in found)])
    columns = np.concatenate(found) if found else np.zeros(0, np.int64)
    ones = np.ones(len(columns), dtype=np.float32)
    return csr_matrix((ones, columns, ends), shape=(len(found), ROWS))


def _counts(texts: Sequence[str], progress: Progress) -> Any:
    found = []
    for i, text in enumerate(texts):
        if i % _BATCH == 0:
            progress("reading", i, len(texts))
        found.append(_rows(text))
    return counts_of(found)


def _vectors(texts: Sequence[str], progress: Progress) -> Floats:
    encoder = shared_encoder()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    out = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
    for start in range(0, len(texts), _BATCH):
        progress("embedding", start, len(texts))
        batch = order[start : start + _BATCH]
        out[batch] = encoder.encode([tokenizer().ids(texts[i]) for i in batch])
    return out


def _pieces(progress: Progress) -> Floats:
    encoder = shared_encoder()
    out = np.zeros((PIECES, DIMENSIONS), dtype=np.float32)
    for start in range(0, PIECES, _BATCH):
        progress("embedding pieces", start, PIECES)
        batch = range(start, min(start + _BATCH, PIECES))
        out[start : start + _BATCH] = encoder.encode([[piece] for piece in batch])
    return out

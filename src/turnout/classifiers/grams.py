"""The first stage's features: sentence pieces, neighbouring pairs of them, and word fragments.

A text becomes a set of rows of a table; what the table says about a row is learned elsewhere.
"""

import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from turnout.classifiers.pieces import BEGIN, END, UNKNOWN, folded
from turnout.core.arrays import Rows

PIECES = 128_010
BUCKETS = 2**17
ROWS = PIECES + BUCKETS
# Words whose rows are remembered: the same ones come again and again.
_KEPT = 2**12
_LEFT, _RIGHT = 1_000_003, 7_919


def grams(ids: Sequence[int], text: str) -> Rows:
    """Distinct rows of a text: its pieces, their pairs, and fragments of words without pieces."""
    pieces = np.array([BEGIN, *ids, END], dtype=np.int64)
    pairs = (pieces[:-1] * _LEFT + pieces[1:] * _RIGHT) % BUCKETS + PIECES
    rows = [pieces, pairs]
    if UNKNOWN in ids:
        rows.append(_fragments(folded(text)))
    return _distinct(np.concatenate(rows))


def concatenated(found: Sequence[Rows]) -> tuple[Rows, Rows]:
    """The rows of several texts one after another, and where each text's begin."""
    return np.concatenate(found), np.cumsum([0, *map(len, found[:-1])])


def grams_of(ids: Sequence[Sequence[int]], texts: Sequence[str]) -> tuple[Rows, Rows]:
    """As ``grams`` for many texts: their rows one after another, and where each text's begin."""
    pieces = np.array([piece for of in ids for piece in (BEGIN, *of, END)], dtype=np.int64)
    owner = np.repeat(np.arange(len(ids)), np.array([len(of) + 2 for of in ids], dtype=np.int64))
    inside = np.flatnonzero(owner[1:] == owner[:-1])
    pairs = (pieces[inside] * _LEFT + pieces[inside + 1] * _RIGHT) % BUCKETS + PIECES
    rows, owners = [pieces, pairs], [owner, owner[inside]]
    for i, (of, text) in enumerate(zip(ids, texts, strict=True)):
        if UNKNOWN in of:
            rows.append(_fragments(folded(text)))
            owners.append(np.full(len(rows[-1]), i))
    # One sort for all: a text's rows lie together, as its number is the larger part of the key.
    keys = _distinct(np.concatenate(owners) * ROWS + np.concatenate(rows))
    return keys % ROWS, np.searchsorted(keys, np.arange(len(ids)) * ROWS)


def _distinct(rows: Rows) -> Rows:
    """As ``np.unique``, which takes four times as long for so few."""
    rows.sort()
    first = np.empty(len(rows), dtype=np.bool_)
    first[:1] = True
    np.not_equal(rows[1:], rows[:-1], out=first[1:])
    return rows[first]


def _fragments(text: str) -> Rows:
    """Hashed words and triples of letters, for scripts that the pieces do not cover."""
    found = [row for word in text.split() if not word.isascii() for row in _word_rows(word)]
    return np.array(found, dtype=np.int64)


@lru_cache(_KEPT)
def _word_rows(word: str) -> tuple[int, ...]:
    marked = f"<{word}>"
    return tuple(map(_bucket, {marked, *(marked[i : i + 3] for i in range(len(marked) - 2))}))


def _bucket(fragment: str) -> int:
    return zlib.crc32(fragment.encode("utf-8", "replace")) % BUCKETS + PIECES

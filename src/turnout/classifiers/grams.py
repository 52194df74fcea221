"""The first stage's features: sentence pieces, neighbouring pairs of them, and word fragments.

A text becomes a set of rows of a table; what the table says about a row is learned elsewhere.
"""

import zlib
from array import array
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from turnout.classifiers.pieces import BEGIN, END, UNKNOWN, folded
from turnout.core.arrays import Rows

PIECES = 128_010
BUCKETS = 2**17
ROWS = PIECES + BUCKETS
# The bits of a row's number.
_ROW_BITS = 18
# Words whose rows are remembered: the same ones come again and again.
_KEPT = 2**12
# As arrays, since for a short text it takes as long to convert a number as to calculate with it.
_LEFT, _RIGHT = np.array(1_000_003), np.array(7_919)
_LAST_BUCKET, _FIRST_PAIR = np.array(BUCKETS - 1), np.array(PIECES)


def grams(ids: Sequence[int], text: str) -> Rows:
    """Distinct rows of a text: its pieces, their pairs, and fragments of words without pieces."""
    pieces = _rows_of_list([BEGIN, *ids, END])
    rows = [pieces, _pairs(pieces)]
    if UNKNOWN in ids:
        rows.append(_fragments(folded(text)))
    return _distinct(np.concatenate(rows))


def concatenated(found: Sequence[Rows]) -> tuple[Rows, Rows]:
    """The rows of several texts one after another, and where each text's begin."""
    return np.concatenate(found), np.cumsum([0, *map(len, found[:-1])])


def grams_of(ids: Sequence[Sequence[int]], texts: Sequence[str]) -> tuple[Rows, Rows]:
    """As ``grams`` for many texts: their rows one after another, and where each text's begin."""
    flat: list[int] = []
    for of in ids:
        flat.append(BEGIN)
        flat += of
        flat.append(END)
    pieces = _rows_of_list(flat)
    places = np.arange(len(ids))
    owner = np.repeat(places, [len(of) + 2 for of in ids])
    inside = owner[1:] == owner[:-1]
    # One sort for all: a text's rows lie together, as its place is the larger part of the key.
    above = owner << _ROW_BITS
    unknown = {*owner[pieces == UNKNOWN].tolist()}
    keys = [
        pieces | above,
        (_pairs(pieces) | above[1:])[inside],
        *(_fragments(folded(texts[place])) | place << _ROW_BITS for place in unknown),
    ]
    rows = _distinct(np.concatenate(keys))
    starts = np.searchsorted(rows, places << _ROW_BITS)
    rows &= (1 << _ROW_BITS) - 1
    return rows, starts


def _rows_of_list(numbers: list[int]) -> Rows:
    """As ``np.array``, which takes three times as long for a list."""
    return np.frombuffer(array("Q", numbers), dtype=np.int64)


def _pairs(pieces: Rows) -> Rows:
    """A row for each piece and the next."""
    rows: Rows = ((pieces[:-1] * _LEFT + pieces[1:] * _RIGHT) & _LAST_BUCKET) + _FIRST_PAIR
    return rows


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

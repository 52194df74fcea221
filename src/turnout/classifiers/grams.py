"""The first stage's features: sentence pieces, neighbouring pairs of them, and word fragments.

A text becomes a set of rows of a table; what the table says about a row is learned elsewhere.
"""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from turnout.classifiers.pieces import BEGIN, END, UNKNOWN, folded

PIECES = 128_010
BUCKETS = 2**17
ROWS = PIECES + BUCKETS
_LEFT, _RIGHT = 1_000_003, 7_919


def grams(ids: Sequence[int], text: str) -> NDArray[np.int64]:
    """Distinct rows of a text: its pieces, their pairs, and fragments of words without pieces."""
    pieces = np.array([BEGIN, *ids, END], dtype=np.int64)
    pairs = (pieces[:-1] * _LEFT + pieces[1:] * _RIGHT) % BUCKETS + PIECES
    rows = [pieces, pairs]
    if UNKNOWN in ids:
        rows.append(_fragments(folded(text)))
    return _distinct(np.concatenate(rows))


def _distinct(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """As ``np.unique``, which takes four times as long for so few."""
    rows.sort()
    first = np.empty(len(rows), dtype=np.bool_)
    first[:1] = True
    np.not_equal(rows[1:], rows[:-1], out=first[1:])
    return rows[first]


def _fragments(text: str) -> NDArray[np.int64]:
    """Hashed words and triples of letters, for scripts that the pieces do not cover."""
    found = set()
    for word in text.split():
        if word.isascii():
            continue
        marked = f"<{word}>"
        found.add(marked)
        found.update(marked[i : i + 3] for i in range(len(marked) - 2))
    return np.array([_bucket(fragment) for fragment in sorted(found)], dtype=np.int64)


def _bucket(fragment: str) -> int:
    return zlib.crc32(fragment.encode("utf-8", "replace")) % BUCKETS + PIECES

"""Remembers how texts were read, since an agent sends the whole conversation with every step.

Invariant: no text is kept, only digests, places and numbers; and what is remembered equals what
reading the text again would find. This module does not know what the numbers mean.
"""

from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate, chain
from threading import Lock
from typing import Any

import numpy as np

from turnout.classifiers.encoder import shared_encoder
from turnout.classifiers.excerpts import Pieces
from turnout.classifiers.first import FirstRead, FirstStage
from turnout.classifiers.views import Readings, decoded_again, readings_of, stretches
from turnout.classifiers.window import long_part_sentences
from turnout.core.arrays import Floats, Rows
from turnout.core.text_digest import text_digest

_DIGEST = 16
# So many readings and vectors are remembered; up to so few texts are read faster than looked up.
_READINGS, _VECTORS, _FEW = 2**14, 2**9, 16
# Places are remembered for texts of so many characters: bytes in all, and the most for one text.
_LONG, _BYTES, _MOST = 1000, 2**21, 2**18


class RowCache:
    """Rows of numbers by key, the latest ``room`` of them. Safe in threads."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._lock = Lock()
        self._stored: OrderedDict[bytes, bytes] = OrderedDict()

    def rows_of(self, keys: Sequence[bytes], compute: Callable[[Sequence[int]], Floats]) -> Floats:
        """A row for each key; ``compute`` computes unknown ones, given their places in ``keys``."""
        with self._lock:
            rows = {key: self._stored[key] for key in keys if key in self._stored}
        new = {key: place for place, key in enumerate(keys) if key not in rows}
        if new:
            found = compute(list(new.values()))
            rows |= {key: row.tobytes() for key, row in zip(new, found, strict=True)}
            self._store({key: rows[key] for key in new})
        every = np.frombuffer(b"".join(rows[key] for key in keys), np.float32)
        return every.reshape(len(keys), -1)

    def _store(self, rows: dict[bytes, bytes]) -> None:
        with self._lock:
            self._stored |= rows
            while len(self._stored) > self._room:
                self._stored.popitem(last=False)


class Recall:
    """Both stages, with a memory for texts that come again."""

    def __init__(self, first: FirstStage) -> None:
        self._first = first
        self._readings, self._vectors = RowCache(_READINGS), RowCache(_VECTORS)

    def read(self, texts: Sequence[str], given: Mapping[str, Rows] | None = None) -> FirstRead:
        """As the first stage reads them, given the rows of some."""
        if len(texts) < _FEW:
            return self._first.read(texts, given)

        def compute(places: Sequence[int]) -> Floats:
            found = self._first.read([texts[i] for i in places])
            return np.column_stack([found.logits, found.quick, found.known])

        each = self._readings.rows_of([text_digest(text, _DIGEST) for text in texts], compute)
        outputs = each.shape[1] // 2
        return FirstRead(logits=each[:, :outputs], quick=each[:, outputs:-1], known=each[:, -1])

    def read_each(
        self, groups: Sequence[Sequence[str]], given: Mapping[str, Rows]
    ) -> list[FirstRead]:
        """As ``read`` for each group of texts; small groups are read together."""
        if len(groups) == 1:
            return [self.read(groups[0], given)]
        small = [group for group in groups if len(group) < _FEW]
        read = self._first.read([text for group in small for text in group], given)
        ends = accumulate(map(len, small))
        return [
            read.part((end := next(ends)) - len(group), end)
            if len(group) < _FEW
            else self.read(group, given)
            for group in groups
        ]

    def vectors_of(self, excerpts: Iterable[Pieces]) -> dict[Pieces, Floats]:
        """The vectors of at least one excerpt."""
        # Of like length together, so that a batch holds little padding.
        unique = sorted(dict.fromkeys(excerpts), key=len)
        keys = [blake2b(array("i", pieces), digest_size=_DIGEST).digest() for pieces in unique]
        vectors = self._vectors.rows_of(
            keys, lambda places: shared_encoder().encode([unique[i] for i in places])
        )
        return dict(zip(unique, vectors, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A text's distinct stretches in all readings, and the single sentences of long ones."""

    stretches: Sequence[str]
    sentences: Sequence[str]


class CutCache:
    """Texts cut into stretches and sentences. Safe in threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._stored: OrderedDict[bytes, tuple[bytes, bytes, bytes, bytes]] = OrderedDict()
        self._bytes = 0

    def cuts_of(self, texts: Sequence[str]) -> list[Cut]:
        """The cut of each text; without sentences if there is only one stretch in all."""
        found = [
            self._long_text_cut(text) if len(text) >= _LONG else (stretches(text), None)
            for text in texts
        ]
        if len({part for parts, _ in found for part in parts}) == 1:
            return [Cut(stretches=parts, sentences=()) for parts, _ in found]
        return [
            Cut(
                stretches=parts,
                sentences=long_part_sentences(parts)
                if sentences_alone is None
                else sentences_alone,
            )
            for parts, sentences_alone in found
        ]

    def _long_text_cut(self, text: str) -> tuple[list[str], list[str]]:
        key = text_digest(text, _DIGEST)
        with self._lock:
            kept = self._stored.get(key)
        if kept is None:
            readings = readings_of(text)
            sentences_alone = list(dict.fromkeys(long_part_sentences(readings.parts)))
            self._store(key, text, readings, sentences_alone)
        else:
            offsets, masked, sentences, paths = kept
            parts = _slices(text, offsets)
            decoded = decoded_again(text, parts, _int_tuples(paths, 3))
            readings = Readings(parts=parts, masked=_int_tuples(masked, 2), decoded=decoded)
            sentences_alone = _slices(text, sentences)
        other_stretches = readings.other_stretches()
        return list(dict.fromkeys((*readings.parts, *other_stretches))), [
            *sentences_alone,
            *long_part_sentences(other_stretches),
        ]

    def _store(
        self, key: bytes, text: str, readings: Readings, sentences_alone: Sequence[str]
    ) -> None:
        masked, paths = (
            array("i", chain.from_iterable(numbers)).tobytes()
            for numbers in (readings.masked, readings.paths)
        )
        kept = _offsets(text, readings.parts), masked, _offsets(text, sentences_alone), paths
        size = sum(map(len, kept))
        if size > _MOST:
            return
        with self._lock:
            if key not in self._stored:
                self._stored[key] = kept
                self._bytes += size
            while self._bytes > _BYTES:
                self._bytes -= sum(map(len, self._stored.popitem(last=False)[1]))


def _offsets(text: str, pieces: Sequence[str]) -> bytes:
    """Start and end of each piece in the text; the pieces come in its order."""
    places, end = array("i"), 0
    for piece in pieces:
        start = text.index(piece, end)
        end = start + len(piece)
        places.extend((start, end))
    return places.tobytes()


def _slices(text: str, places: bytes) -> list[str]:
    return [text[start:end] for start, end in _int_tuples(places, 2)]


def _int_tuples(numbers: bytes, size: int) -> list[Any]:
    each = iter(array("i", numbers))
    return list(zip(*[each] * size, strict=True))

"""The readings of a text: as written, unmasked, and decoded if it looks encoded.

Safety scores every reading, and the worst score counts. The readings are deterministic: the text,
the text unmasked, and at most ``_LIMIT`` decodings, each about as long as the text or shorter. A
long text is decoded in blocks, so that memory is bounded and other threads need not wait.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import ne

from turnout.classifiers.compounds import split_compounds
from turnout.classifiers.decoders import ENCODINGS, is_readable
from turnout.classifiers.glyphs import unmasked, without_letter_spacing
from turnout.classifiers.signs import joined_like
from turnout.classifiers.window import chunks

_LIMIT = 6
_LAYERS = 2
# The characters of a block, which ends at the end of a word; the most characters of one without
# blanks, which may be one encoded text; and by how many stretches the next block overlaps it, so
# that what lies across the border is whole in the next.
_BLOCK, _UNBROKEN, _OVERLAP = 2**16, 2**17, 3

# Words of letters with the usual signs around them, and single numbers, which cannot hold a code.
# Runs of words without signs, which are most of a usual prompt, have a faster pattern.
_WORD = r"[A-Za-z][a-z']{1,19}+"
_WORDS = re.compile(
    rf"""(?:(?:{_WORD}[ \n-]++)++"""
    rf"""|["'(]*+(?:{_WORD}|[aAI]|[A-Z]{{2,6}}+|[0-9]{{1,9}}+(?!\W*[0-9]))"""
    r"""["'),.;:!?]*+(?:[ \n-]++|\Z))++"""
)
# Of plain words so many hyphens may join a sentence.
_HYPHENS = 4


def is_plain(text: str) -> bool:
    """Whether ``text`` is prose in plain words, which has no other reading."""
    if _WORDS.fullmatch(text) is None or not is_readable(text):
        return False
    return text.count("-") < _HYPHENS or split_compounds(text) == text


def stretches(text: str) -> list[str]:
    """Distinct stretches of all readings of ``text``, each short enough to be judged at once."""
    return readings_of(text).stretches()


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """The stretches of a text as written, and those of its decoded readings.

    ``masked`` are the ranges of stretches that differ when they are unmasked.
    """

    parts: Sequence[str]
    masked: Sequence[tuple[int, int]]
    decoded: Sequence[str] = ()

    def other_stretches(self) -> list[str]:
        """The stretches of the unmasked and the decoded readings."""
        shown = ("".join(_parted(_unmasked(p)) for p in self.parts[s:e]) for s, e in self.masked)
        return [*(part for text in shown for part in chunks(text)), *self.decoded]

    def stretches(self) -> list[str]:
        """All distinct stretches."""
        return list(dict.fromkeys((*self.parts, *self.other_stretches())))


def readings_of(text: str) -> Readings:
    """The readings of a text. Only the stretches that were masked are judged a second time."""
    parts = chunks(text)
    plain = [_unmasked(part) for part in parts]
    whole = [text if plain == parts else "".join(plain)] if len(text) <= _BLOCK else _blocks(plain)
    decoded = [
        part
        for block in whole
        for reading in _decodings(block)
        for part in chunks(_parted(reading))
    ]
    masked = list(_masked_ranges(parts, list(map(_parted, plain))))
    return Readings(parts=parts, masked=masked, decoded=decoded)


def _masked_ranges(parts: Sequence[str], plain: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The ranges in which all parts differ from their unmasked form."""
    at = 0
    for masked, run in groupby(map(ne, parts, plain)):
        start, at = at, at + len(list(run))
        if masked:
            yield start, at


def _blocks(parts: Sequence[str]) -> Iterator[str]:
    """The parts of a long text, joined into blocks."""
    start = size = 0
    for end, part in enumerate(parts, 1):
        size += len(part)
        is_full = size >= _BLOCK and (part[-1:].isspace() or size >= _UNBROKEN)
        if is_full or end == len(parts):
            yield "".join(parts[start:end])
            start = max(end - _OVERLAP, 0)
            size = sum(map(len, parts[start:end]))


def _decodings(text: str) -> list[str]:
    """The decoded readings of the text, and the decoded readings of those."""
    found = {text: None}
    newest = [text]
    for _ in range(_LAYERS):
        newest = [new for old in newest for new in _decode_once(old) if new not in found]
        if not newest:
            break
        found |= dict.fromkeys(newest)
    return list(found)[1 : _LIMIT + 1]


def _unmasked(text: str) -> str:
    return without_letter_spacing(unmasked(text))


def _parted(text: str) -> str:
    return split_compounds(text) if joined_like(text.encode("utf-8", "replace")) else text


def _decode_once(text: str) -> list[str]:
    raw = text.encode("utf-8", "replace")
    return [
        new
        for may_hold, decode in ENCODINGS
        if may_hold(raw) and (new := decode(text)) is not None and new != text
    ]

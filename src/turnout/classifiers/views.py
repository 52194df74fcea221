"""The readings of a text: as written, unmasked, and decoded if it looks encoded.

Safety scores every reading, and the worst score counts. The readings are deterministic: the text,
the text unmasked, and at most ``_LIMIT`` decodings, each about as long as the text or shorter. A
long text is decoded in blocks, so that memory is bounded and other threads need not wait.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import ne

from turnout.classifiers.compounds import split_compounds
from turnout.classifiers.decoders import ENCODINGS, is_readable
from turnout.classifiers.glyphs import unmasked, without_letter_spacing
from turnout.classifiers.signs import joined_like
from turnout.classifiers.window import chunks

_LIMIT = 6
# A decoded reading's block, and the places of the decoders that lead from it to the reading, the
# first before the second; ``_NO_DECODER`` if there is no second.
DecoderPath = tuple[int, int, int]
_NO_DECODER = -1
# The characters of a block, which ends at the end of a word; the most characters of one without
# blanks, which may be one encoded text; and by how many stretches the next block overlaps it, so
# that what lies across the border is whole in the next.
_BLOCK, _UNBROKEN, _OVERLAP = 2**16, 2**17, 3

# Words of letters with the usual signs around them, and single numbers, which cannot hold a code.
# Runs of words without signs, which are most of a usual prompt, have a faster pattern.
_WORD = r"[A-Za-z][a-z']{1,19}+"
_WORDS = re.compile(
    rf"""(?>(?:(?>(?:{_WORD}[ \n-]++)+)"""
    rf"""|["'(]*+(?:{_WORD}|[aAI]|[A-Z]{{2,6}}+|[0-9]{{1,9}}+(?!\W*[0-9]))"""
    r"""["'),.;:!?]*+(?:[ \n-]++|\Z))+)"""
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

    ``masked`` are the ranges of stretches that differ when they are unmasked; ``paths`` tell how
    each decoded reading came about.
    """

    parts: Sequence[str]
    masked: Sequence[tuple[int, int]]
    decoded: Sequence[str] = ()
    paths: Sequence[DecoderPath] = ()

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
    found = [
        (reading, (place, *decoders))
        for place, block in enumerate(_blocks(text, parts, plain))
        for reading, decoders in _decodings(block).items()
    ]
    return Readings(
        parts=parts,
        masked=list(_masked_ranges(parts, list(map(_parted, plain)))),
        decoded=[part for reading, _ in found for part in chunks(_parted(reading))],
        paths=[path for _, path in found],
    )


def decoded_again(text: str, parts: Sequence[str], paths: Sequence[DecoderPath]) -> list[str]:
    """What ``readings_of`` decoded, by the same decoders and no others."""
    if not paths:
        return []
    blocks = _blocks(text, parts, [_unmasked(part) for part in parts])
    return [part for path in paths for part in chunks(_parted(_decoded_by(blocks, path)))]


def _decoded_by(blocks: Sequence[str], path: DecoderPath) -> str:
    place, *decoders = path
    text = blocks[place]
    for decoder in decoders:
        if decoder != _NO_DECODER:
            text = ENCODINGS[decoder][1](text) or ""
    return text


def _masked_ranges(parts: Sequence[str], plain: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The ranges in which all parts differ from their unmasked form."""
    at = 0
    for masked, run in groupby(map(ne, parts, plain)):
        start, at = at, at + len(list(run))
        if masked:
            yield start, at


def _blocks(text: str, parts: Sequence[str], plain: Sequence[str]) -> list[str]:
    """The text unmasked, in blocks if it is long; ``plain`` are its parts unmasked."""
    if len(text) > _BLOCK:
        return list(_joined_blocks(plain))
    return [text if plain == parts else "".join(plain)]


def _joined_blocks(parts: Sequence[str]) -> Iterator[str]:
    """The parts of a long text, joined into blocks."""
    start = size = 0
    for end, part in enumerate(parts, 1):
        size += len(part)
        is_full = size >= _BLOCK and (part[-1:].isspace() or size >= _UNBROKEN)
        if is_full or end == len(parts):
            yield "".join(parts[start:end])
            start = max(end - _OVERLAP, 0)
            size = sum(map(len, parts[start:end]))


def _decodings(text: str) -> dict[str, tuple[int, int]]:
    """The decoded readings of the text, and those of these, each with its one or two decoders."""
    once = {new: (place, _NO_DECODER) for place, new in _decode_once(text)}
    twice = {
        new: (first, place)
        for old, (first, _) in once.items()
        for place, new in _decode_once(old)
        if new != text and new not in once
    }
    return dict(islice((once | twice).items(), _LIMIT))


def _unmasked(text: str) -> str:
    return without_letter_spacing(unmasked(text))


def _parted(text: str) -> str:
    return split_compounds(text) if joined_like(text.encode("utf-8", "replace")) else text


def _decode_once(text: str) -> list[tuple[int, str]]:
    """Each decoder that finds another text in this one, by its place, with what it finds."""
    raw = text.encode("utf-8", "replace")
    return [
        (place, new)
        for place, (may_hold, decode) in enumerate(ENCODINGS)
        if may_hold(raw) and (new := decode(text)) is not None and new != text
    ]

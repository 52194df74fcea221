"""The readings of a text: raw, unmasked, and decoded where it looks encoded.

Safety scores every reading and the worst counts. Deterministic; at most ``_LIMIT`` decodings and
the text itself twice, each no longer than about the text itself. A long text is decoded block by
block, so that memory is bounded and other threads need not wait.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import ne

from turnout.classifiers.decoders import ENCODINGS, is_readable
from turnout.classifiers.glyphs import joined, unmasked
from turnout.classifiers.window import chunks

_LIMIT = 4
_LAYERS = 2
# Characters of a block, which ends where a word does; of one without blanks, which is perhaps one
# encoded text. What stands across is whole in the next block, that begins so many stretches before.
_BLOCK, _UNBROKEN, _AGAIN = 2**16, 2**17, 3

# Words of letters with the usual signs around them, and single numbers: no room for a code. Runs of
# words without signs, which is what most prompts are made of, have a shorter way.
_WORD = r"[A-Za-z][a-z']{1,19}+"
_WORDS = re.compile(
    rf"""(?:(?:{_WORD}[ \n-]++)++"""
    rf"""|["'(]*+(?:{_WORD}|[aAI]|[A-Z]{{2,6}}+|[0-9]{{1,9}}+(?!\W*[0-9]))"""
    r"""["'),.;:!?]*+(?:[ \n-]++|\Z))++"""
)


def is_plain(text: str) -> bool:
    """Whether ``text`` is prose in plain words, of which nothing but itself can be read."""
    return _WORDS.fullmatch(text) is not None and is_readable(text)


def stretches(text: str) -> list[str]:
    """Distinct stretches of all readings of ``text``, each short enough to be judged at once."""
    return read(text).stretches()


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """A text's stretches as they stand there, and of what it says in other codes.

    ``masked`` tells from where to where they read otherwise unmasked.
    """

    parts: Sequence[str]
    masked: Sequence[tuple[int, int]]
    decoded: Sequence[str] = ()

    def others(self) -> list[str]:
        """The stretches that do not stand there."""
        shown = ("".join(map(_plain, self.parts[start:end])) for start, end in self.masked)
        return [*(part for text in shown for part in chunks(text)), *self.decoded]

    def stretches(self) -> list[str]:
        """All that are distinct."""
        return list(dict.fromkeys((*self.parts, *self.others())))


def read(text: str) -> Readings:
    """The readings of a text; stretch by stretch unmasked, so that only what was is read twice."""
    parts = chunks(text)
    plain = [_plain(part) for part in parts]
    whole = [text if plain == parts else "".join(plain)] if len(text) <= _BLOCK else _blocks(plain)
    decoded = [part for block in whole for reading in _decodings(block) for part in chunks(reading)]
    return Readings(parts=parts, masked=list(_runs(parts, plain)), decoded=decoded)


def _runs(parts: Sequence[str], plain: Sequence[str]) -> Iterator[tuple[int, int]]:
    """From where to where all parts differ from what they show."""
    at = 0
    for masked, run in groupby(map(ne, parts, plain)):
        start, at = at, at + len(list(run))
        if masked:
            yield start, at


def _blocks(parts: Sequence[str]) -> Iterator[str]:
    """The joined parts of a long text, a block at a time."""
    start = size = 0
    for end, part in enumerate(parts, 1):
        size += len(part)
        is_full = size >= _BLOCK and (part[-1:].isspace() or size >= _UNBROKEN)
        if is_full or end == len(parts):
            yield "".join(parts[start:end])
            start = max(end - _AGAIN, 0)
            size = sum(map(len, parts[start:end]))


def _decodings(text: str) -> list[str]:
    """What the text says in other encodings, and what that says in others again."""
    found = {text: None}
    newest = [text]
    for _ in range(_LAYERS):
        newest = [new for old in newest for new in _decoded(old) if new not in found]
        if not newest:
            break
        found |= dict.fromkeys(newest)
    return list(found)[1 : _LIMIT + 1]


def _plain(text: str) -> str:
    return joined(unmasked(text))


def _decoded(text: str) -> list[str]:
    raw = text.encode("utf-8", "replace")
    return [
        new
        for may_hold, decode in ENCODINGS
        if may_hold(raw) and (new := decode(text)) is not None and new != text
    ]

"""The readings of a text: raw, unmasked, and decoded where it looks encoded.

Safety scores every reading and the worst counts. Deterministic; at most ``_LIMIT`` readings,
each no longer than about the text itself.
"""

import re

from turnout.classifiers.decoders import ENCODINGS, is_readable
from turnout.classifiers.glyphs import joined, unmasked

_LIMIT = 6
_LAYERS = 2

# Words of letters with the usual signs around them, and single numbers: no room for a code.
_WORDS = re.compile(
    r"""(?>["'(]*+(?:[aAI]|[A-Z]{2,6}|[A-Za-z][a-z']{1,19}|[0-9]{1,9}(?!\W*[0-9]))(?![A-Za-z0-9])"""
    r"""["'),.;:!?]*+(?:[ \n-]+|\Z))+"""
)


def is_plain(text: str) -> bool:
    """Whether ``text`` is prose in plain words, of which nothing but itself can be read."""
    return _WORDS.fullmatch(text) is not None and is_readable(text)


def views(text: str) -> tuple[str, ...]:
    """Distinct readings of ``text``, the raw one first."""
    found = {text: None}
    newest = [text]
    plain = joined(unmasked(text))
    if plain != text:
        found[plain] = None
        newest = [plain]
    for _ in range(_LAYERS):
        newest = [new for old in newest for new in _decoded(old) if new not in found]
        if not newest:
            break
        found |= dict.fromkeys(newest)
    return tuple(found)[:_LIMIT]


def _decoded(text: str) -> list[str]:
    return [new for decode in ENCODINGS if (new := decode(text)) is not None and new != text]

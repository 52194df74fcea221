"""Counts a prompt's tokens with the model family's own tokenizer, offline.

Invariant: a count is exact for the text given, where that has up to a million characters, and else
within a few tokens a million; the chat template's own tokens are added as a fixed overhead a
message. This module does not know models.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Protocol

from turnout.core import ConfigError

# Role, separators and end markers: three to five tokens a message in the public templates.
TOKENS_PER_MESSAGE = 4

_ID_BYTES = 4
# Characters that are encoded at once. A word takes memory, and more than its share of time: one of
# 25 MB took 24 s and 1.2 GB.
_PIECE_CHARACTERS = 2**20
# What long texts came to. No text is kept: its hash is salted anew in each process.
_LONG_CHARACTERS = 2000
_MOST_LONG_COUNTS = 10_000
_LONG_COUNTS: dict[tuple[str, int, int], int] = {}


class Tokenizer(Protocol):
    """Turns text into token ids."""

    def encode(self, text: str) -> Sequence[int]:
        """The ids of ``text``."""
        ...

    def encode_batch_flat(self, texts: Sequence[str]) -> tuple[bytes, bytes]:
        """The ids of all ``texts``, of 32 bits each, and where each text's begin.

        Other threads run meanwhile, and no list is made: a text may be of millions of tokens.
        """
        ...


@cache
def tokenizer(name: str) -> Tokenizer:
    """The tokenizer called ``name``, loaded once from the installed package.

    Raises ConfigError naming the tokenizers there are.
    """
    import splintr

    try:
        return splintr.Tokenizer.from_pretrained(name)
    except ValueError as error:
        raise ConfigError(f"tokenizer {name!r} does not exist: {error}") from error


def count_tokens(texts: Sequence[str], name: str) -> int:
    """Tokens of all ``texts``, each encoded by itself."""
    encode = tokenizer(name).encode_batch_flat
    found = 0
    for text in texts:
        if len(text) < _LONG_CHARACTERS:
            found += len(encode([text])[0]) // _ID_BYTES
        else:
            found += _count_long(text, name)
    return found


def _count_long(text: str, name: str) -> int:
    """Tokens of a text that the next turn of its conversation is likely to bring again."""
    key = name, len(text), hash(text)
    known = _LONG_COUNTS.get(key)
    if known is None:
        if len(_LONG_COUNTS) >= _MOST_LONG_COUNTS:
            _LONG_COUNTS.clear()
        encode = tokenizer(name).encode_batch_flat
        known = sum([len(encode([piece])[0]) // _ID_BYTES for piece in _pieces(text)])
        _LONG_COUNTS[key] = known
    return known


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces that begin with a blank, which no token holds behind a letter."""
    start = 0
    while len(text) - start > _PIECE_CHARACTERS:
        end = text.rfind(" ", start + 1, start + _PIECE_CHARACTERS)
        end = end if end > 0 else start + _PIECE_CHARACTERS
        yield text[start:end]
        start = end
    yield text[start:]

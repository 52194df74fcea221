"""Counts a prompt's tokens with the model family's own tokenizer, offline.

Invariant: a count is exact for the text given; the chat template's own tokens are added as a
fixed overhead a message. This module does not know models.
"""

from collections.abc import Sequence
from functools import cache
from typing import Protocol

from turnout.core import ConfigError

# Role, separators and end markers: three to five tokens a message in the public templates.
TOKENS_PER_MESSAGE = 4

_ID_BYTES = 4
# What long texts came to. No text is kept: its hash is salted anew in each process.
_LONG = 2000
_MOST_COUNTED = 10_000
_COUNTED: dict[tuple[str, int, int], int] = {}


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


def count(texts: Sequence[str], name: str) -> int:
    """Tokens of all ``texts``, each encoded by itself."""
    encode = tokenizer(name).encode_batch_flat
    return sum(
        [
            len(encode([text])[0]) // _ID_BYTES if len(text) < _LONG else _count_long(text, name)
            for text in texts
        ]
    )


def _count_long(text: str, name: str) -> int:
    """Tokens of a text that the next turn of its conversation is likely to bring again."""
    key = name, len(text), hash(text)
    known = _COUNTED.get(key)
    if known is None:
        if len(_COUNTED) >= _MOST_COUNTED:
            _COUNTED.clear()
        ids, _ = tokenizer(name).encode_batch_flat([text])
        known = _COUNTED[key] = len(ids) // _ID_BYTES
    return known

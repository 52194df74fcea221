"""The words of a text, in lower case. This module does not know what they mean."""

import re
from functools import lru_cache

# Who reads a prompt asks for its words more than once; prompts are read some dozens at a time.
_KEPT = 64
_WORD = re.compile(r"[^\W\d_]+")
# In a text of ASCII everything but letters becomes a space: a third of the time of the expression.
_LETTERS = str.maketrans({chr(c): chr(c).lower() if chr(c).isalpha() else " " for c in range(128)})


@lru_cache(_KEPT)
def words_of(text: str) -> tuple[str, ...]:
    """The runs of letters in ``text``, in lower case and in order; for beginnings of texts."""
    found = text.translate(_LETTERS).split() if text.isascii() else _WORD.findall(text.lower())
    return tuple(found)

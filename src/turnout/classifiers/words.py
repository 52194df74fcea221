"""The words of a text, in lower case. This module does not know what they mean."""

import re
from collections.abc import Iterable
from functools import lru_cache

# The most frequent ones of several languages, most of them English.
EVERYDAY = frozenset(
    "a about after all also an and any are as at be because been but by can could day do does "
    "each even find first for from get give go has have he help her here him his how i if in "
    "into is it its just know like list make me more my need new no not now of on one only or "
    "other our out people please she should so some step take tell than that the their them "
    "then there these they this time to two up us use want was way we what when where which who "
    "why will with without work would write you your explain show create someone using best "
    "der die das und ist wie ich nicht ein eine el la los que por para como una le les des est "
    "comment pour dans os uma não com".split()
)
# Who reads a prompt asks for its words more than once; prompts are read some dozens at a time.
_KEPT = 64
# So many signs of another script are more than a name.
_WORDED = 8
_WORD = re.compile(r"[^\W\d_]+")
# In a text of ASCII everything but letters becomes a space, which is faster than the expression.
_LETTERS = bytes(ord(chr(c).lower() if chr(c).isalpha() else " ") for c in range(128)).ljust(256)

_ENDS = str.maketrans(dict.fromkeys(".,;:!?'\"()", ""))


@lru_cache(_KEPT)
def words_of(text: str) -> tuple[str, ...]:
    """The runs of letters in ``text``, in lower case and in order; for beginnings of texts."""
    if text.isascii():
        return tuple(text.encode().translate(_LETTERS).decode().split())
    return tuple(_WORD.findall(text.lower()))


def worded_lines(texts: Iterable[str], least: int = 4) -> str | None:
    """The texts of at least so many words, a line each, or None where there are none."""
    return "\n".join(text for text in texts if is_worded(text, least)) or None


def is_worded(text: str, least: int = 4) -> bool:
    """Whether so many words stand between blanks, as in prose; names and types in programs do not.

    Scripts without blanks have one long word.
    """
    if not text.isascii():
        return len(text) >= _WORDED
    return sum(map(str.isalpha, text.translate(_ENDS).split())) >= least

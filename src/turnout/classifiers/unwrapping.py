"""Strips quotes, brackets, fences and arrows that remain around a text cut out of a prompt."""

import re
from itertools import accumulate, islice

from turnout.classifiers.clauses import QUOTE_PAIRS

_LOOSE = ",;:|=\\"
_QUOTES = "\"'`"
_PAIRS = f"()[]{{}}<>（）【】{QUOTE_PAIRS}"
_PARTNERS = {sign: _PAIRS[place ^ 1] for place, sign in enumerate(_PAIRS)}
_FENCES = ("```", '"""', "'''", "---", "===", "###")
# Signs alone at either end, except those of a comment in code, and ``.``, ``!`` and ``?`` at the
# end; an arrow in front; a second full stop.
_ALONE = re.compile(
    r"^(?!/[*/])(?:[^\w\s]+\s+|[-=]+>)+(?=\S)"
    r"|(?:\s+(?!\*/)[^\w\s.!?]+)+$"
    r"|(?<=[!?。！？])\.$"
)


def unwrapped(text: str) -> str:
    """The text without the signs at its ends that belonged to the text around it."""
    text = _ALONE.sub("", _without_fences(text.strip()))
    while text:
        first, last = text[0], text[-1]
        if last in _LOOSE or _lacks_partner(text, last):
            text = _without_fences(text[:-1].rstrip())
        elif _lacks_partner(text, first):
            text = _without_fences(text[1:].lstrip())
        elif _is_enclosed(text, first, last):
            text = text[1:-1].strip()
        else:
            break
    return text


def _without_fences(text: str) -> str:
    """The text without fences at its ends whose other half is missing, or encloses nothing else."""
    for fence in _FENCES:
        if text.count(fence) == 1 or (text.count(fence) == 2 and text.endswith(fence)):
            text = text.removeprefix(fence).removesuffix(fence)
    return text.strip()


def _is_enclosed(text: str, first: str, last: str) -> bool:
    """Whether one pair of quotes or brackets encloses the whole text."""
    if first in _QUOTES:
        return first == last and text.count(first) == 2
    if _PARTNERS.get(first) != last:
        return False
    depth = accumulate((sign == first) - (sign == last) for sign in text)
    return 0 not in islice(depth, len(text) - 1)


def _lacks_partner(text: str, sign: str) -> bool:
    """Whether the text has the bracket or quote without its partner."""
    if sign in _QUOTES:
        return text.count(sign) == 1
    return sign in _PARTNERS and text.count(sign) > text.count(_PARTNERS[sign])

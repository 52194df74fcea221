"""How alike a question's answer options are, by the words that they share.

Options that are nearly alike, or repeat the question, tell strong models from weak ones.
Invariant: pure, total; a text with fewer than two options has zeros.
"""

import re
from itertools import combinations

from turnout.features.difficulty import split_options

NAMES = ("options_alike", "options_most_alike", "options_asked")

# The most options compared: more would take long, and questions seldom have more.
_MOST_OPTIONS = 10
_WORD = re.compile(r"[^\W\d_]{2,}")


def likeness(text: str) -> list[float]:
    """Shares of common words, 0..1: of two options in the mean and at most, and with the question.

    Of two options the share is that of their union, with the question that of the option.
    """
    stem, options = split_options(text)
    option_words = [_words(option) for option in options[:_MOST_OPTIONS]]
    pairs = [len(one & two) / (len(one | two) + 1) for one, two in combinations(option_words, 2)]
    if not pairs:
        return [0.0] * len(NAMES)
    stem_words = _words(stem)
    repeated = [len(one & stem_words) / (len(one) + 1) for one in option_words]
    return [sum(pairs) / len(pairs), max(pairs), sum(repeated) / len(repeated)]


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))

"""Takes sentences apart whose words are joined by signs or by capitals: ``howToOpen``, ``how_to``.

Deterministic and linear in the text's length. Names in programs and codes stay as they are, unless
everyday words say that they are sentences.
"""

import re

from turnout.classifiers.words import EVERYDAY

_WORD = r"[^\W_]++(?>(?:['’][^\W_]++)*)"
_JOINT = r"[,;:!?)\"']*+[-_.+/]++[(\"']*+"
_JOINED = re.compile(rf"(?<![^\W_]){_WORD}(?>(?:{_JOINT}{_WORD}){{4,}})")
_SIGNS = re.compile(_JOINT)
_HUMPED = re.compile(r"(?<![^\W_])[a-z\d]*+(?>(?:[A-Z][a-z\d]*+){4,})(?![^\W_])")
_HUMP = re.compile(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# So many words make a sentence, of which one in so many is an everyday one.
_WORDS, _ONE_IN = 5, 6
# Shorter than such a sentence is a run without blanks in most programs, too.
_LONG = 16


def split_compounds(text: str) -> str:
    """The text with blanks between joined words."""
    runs = " ".join(run for run in text.split() if len(run) >= _LONG)
    if not (_JOINED.search(runs) or _HUMPED.search(runs)):
        return text
    apart = _JOINED.sub(lambda m: _if_sentence(_SIGNS.sub(" ", m.group()), m.group()), text)
    return _HUMPED.sub(lambda m: _if_sentence(_HUMP.sub(" ", m.group()).lower(), m.group()), apart)


def _if_sentence(words: str, run: str) -> str:
    """The words of a run if they make a sentence, else the run."""
    each = words.lower().split()
    common = sum(map(EVERYDAY.__contains__, each))
    return words if len(each) >= _WORDS and common * _ONE_IN >= len(each) else run

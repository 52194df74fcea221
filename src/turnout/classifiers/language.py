"""Names a text's language from its script and its commonest words.

Good enough to report and to choose a stricter rule for the unknown; not a language model.
"""

import re
import struct
from itertools import repeat

from turnout.classifiers.words import words_of

_SCRIPTS: tuple[tuple[str, str], ...] = (
    ("ja", "\u3040-\u30ff"),
    ("ko", "\uac00-\ud7af\u1100-\u11ff"),
    ("zh", "\u4e00-\u9fff\u3400-\u4dbf"),
    ("hi", "\u0900-\u097f"),
    ("bn", "\u0980-\u09ff"),
    ("ar", "\u0600-\u06ff\u0750-\u077f"),
    ("he", "\u0590-\u05ff"),
    ("ru", "\u0400-\u04ff"),
    ("el", "\u0370-\u03ff"),
    ("th", "\u0e00-\u0e7f"),
)
# All of these scripts in front, since most signs are of none, save trying each.
_SCRIPT = re.compile(
    f"(?=[{''.join(span for _, span in _SCRIPTS)}])"
    f"(?:{'|'.join(f'(?P<{name}>[{span}]+)' for name, span in _SCRIPTS)})"
)
_COMMON = {
    "en": "the of and to in is you that it for are what how my this with do can i a on me write",
    "de": "der die das und ist nicht ich ein eine mit für wie auf den zu von mir was bitte im",
    "es": "el la de que y los una por con para es cómo qué mi las del se lo cuál un en",
    "fr": "le la les des et est une pour que dans du je qui sur mon ce comment quel un au moi",
    "pt": "o os as um uma não para com do da em por que meu como qual é no na de você",
    "it": "il di che è per un una con non sono del della come mi gli questo quale i nel e",
    "nl": "de het een en van is ik niet op voor met dat hoe wat mijn te zijn er die",
    "vi": "của và là có không cho một những người tôi trong được với như thế nào làm các",
    "tr": "bir ve bu için ne nasıl mi çok ile da de bana en olarak var kadar",
    "id": "yang dan di untuk dengan ini itu apa dari saya bagaimana tidak adalah ke",
    "pl": "nie i w na jest się do jak to czy z o co dla mi jaki po",
    "tl": "ang ng sa mga na ay ko mo ba ito para kung paano",
}
_LANGUAGES_OF = {
    word: [name for name, words in _COMMON.items() if word in words.split()]
    for words in _COMMON.values()
    for word in words.split()
}
# A word's vote is shared among the languages that have it. The votes for all of them are fields of
# one number, so that those of a text are added up in one sum; 840 parts can be shared by up to 8.
_VOTE_PARTS, _VOTE_BITS = 840, 32
_NAMES = tuple(_COMMON)
_FIELDS = struct.Struct(f"<{len(_NAMES)}I")
_VOTE_OF = {
    word: sum(_VOTE_PARTS // len(names) << _VOTE_BITS * _NAMES.index(name) for name in names)
    for word, names in _LANGUAGES_OF.items()
}
_ENGLISH = frozenset(_COMMON["en"].split())
_NOT_ENGLISH = _VOTE_OF.keys() - _ENGLISH
_READ_CHARACTERS = 600


def language_of(text: str) -> str:
    """ISO 639-1 code of the text's main language, or the empty string when it gives no hint."""
    head = text[:_READ_CHARACTERS]
    script = "" if head.isascii() else _by_script(head)
    return script or _by_words(head)


def _by_script(text: str) -> str:
    counts: dict[str, int] = {}
    for match in _SCRIPT.finditer(text):
        name = match.lastgroup or ""
        counts[name] = counts.get(name, 0) + len(match[0])
    letters = sum(map(str.isalpha, text))
    if sum(counts.values()) * 4 < letters or not counts:
        return ""
    # Japanese is written with Chinese characters too; a few kana settle it.
    if "ja" in counts and counts["ja"] * 8 >= counts.get("zh", 0):
        return "ja"
    return max(counts, key=lambda name: counts[name])


def _by_words(text: str) -> str:
    words = words_of(text)
    # Where all votes are for English, others have no more, and it comes first.
    if _NOT_ENGLISH.isdisjoint(words):
        return "" if _ENGLISH.isdisjoint(words) else "en"
    votes = sum(map(_VOTE_OF.get, words, repeat(0)))
    each = _FIELDS.unpack(votes.to_bytes(_FIELDS.size, "little"))
    return _NAMES[each.index(max(each))]

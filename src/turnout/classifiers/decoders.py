"""Decodes texts in common encodings, such as base64, hex, ROT13 and leet.

Each decoder returns the decoded text, or None if the text does not look encoded. Decoders that
replace or reorder letters count everyday words to see whether the result makes more sense.
"""

import base64
import binascii
import codecs
import html
import math
import re
from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from urllib.parse import unquote

import numpy as np

from turnout.classifiers import signs
from turnout.classifiers.json_strings import from_json
from turnout.classifiers.markup import from_markup
from turnout.classifiers.quoted_lines import from_quoted_lines
from turnout.classifiers.table_cells import from_table
from turnout.classifiers.words import EVERYDAY, words_of
from turnout.classifiers.yaml_values import from_yaml

Decoder = Callable[[str], str | None]

_BASE64 = re.compile(r"(?<![\w+/])[A-Za-z0-9+/_-]{16,}={0,2}(?![\w+/=])")
_BASE32 = re.compile(r"(?<!\w)[A-Z2-7]{16,}={0,6}(?![\w=])")
_HEX = re.compile(r"(?<!\w)(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[\s:,]?){8,}(?!\w)")
_BINARY = re.compile(r"(?<!\w)(?:[01]{7,8}\s*){4,}(?!\w)")
_BYTE = "[0-9A-Fa-f]{2}"
_DECIMAL = re.compile(r"(?<![\w.])[0-9]{2,3}(?>(?:[\s,;]++[0-9]{2,3}\b){11,})")
# Bytes behind a sign. A pattern that begins with its sign is much faster than one with a group.
_PERCENT, _QUOTED = (
    re.compile(
        rf"{sign}(?:{_BYTE}(?:{sign}{_BYTE}){{2}}|{_BYTE}.{{0,12}}(?:{sign}{_BYTE}.{{0,12}}){{3}})"
    )
    for sign in "%="
)
_ENTITY = re.compile(r"&#?\w{2,8};.{0,8}(?:&#?\w{2,8};.{0,8}){2}")
_ESCAPE = re.compile(
    r"\\(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[0-7]{3})"
    r"(?:\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\\[0-7]{3}){2}"
)
_ESCAPED = re.compile(r"\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})|\\([0-7]{3})")
_MORSE = re.compile(r"(?<![^\s/|])(?:[.\-·–_]{1,6}[ /|\n]+){5,}[.\-·–_]{1,6}")
_LEET = str.maketrans("0134578@$!|+€", "oieastbasiite")
_LEET_SIGN = re.compile("[0134578@$!|+€]")
_LEETED = re.compile(r"[\w@$|+€!]+(?<![!+])")
MORSE = dict(
    zip(
        ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- "
        "...- .-- -..- -.-- --.. ----- .---- ..--- ...-- ....- ..... -.... --... ---.. "
        "----.".split(),
        "abcdefghijklmnopqrstuvwxyz0123456789",
        strict=True,
    )
)
_BRAILLE = dict(zip("⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚⠅⠇⠍⠝⠕⠏⠟⠗⠎⠞⠥⠧⠺⠭⠽⠵⠀", "abcdefghijklmnopqrstuvwxyz ", strict=True))
_CELLS = re.compile("[\u2801-\u283f]{2,}")
_SAMPLE = 600
_LONGER_EVERYDAY = frozenset(word for word in EVERYDAY if len(word) > 1)


def words_share(text: str) -> float:
    """The share of everyday words among the longer words of the text's beginning."""
    return _everyday_share(text[:_SAMPLE])


@lru_cache(64)  # several decoders ask for the same text
def _everyday_share(beginning: str) -> float:
    words = [word for word in words_of(beginning) if len(word) > 1]
    return sum(map(EVERYDAY.__contains__, words)) / len(words) if words else 0.0


def is_readable(text: str) -> bool:
    """Whether the text makes sense without decoding."""
    return _is_readable(text[:_SAMPLE])


@lru_cache(64)  # as above
def _is_readable(beginning: str) -> bool:
    words = words_of(beginning)
    # Of most texts half of the words are enough to know that there are so many everyday ones.
    enough = int(_READABLE_SHARE * len(words)) + 1
    everyday = filter(_LONGER_EVERYDAY.__contains__, words)
    if next(islice(everyday, enough - 1, None), None) is not None:
        return True
    return words_share(beginning) > _READABLE_SHARE


def from_base64(text: str) -> str | None:
    """Text in runs of base64, also URL-safe."""
    return _decoded_runs(_BASE64, text, _base64)


def from_base32(text: str) -> str | None:
    """Text in runs of base32."""
    return _decoded_runs(_BASE32, text, lambda run: base64.b32decode(_padded(run, 8)))


def from_hex(text: str) -> str | None:
    """Text in runs of hexadecimal bytes."""
    return _decoded_runs(_HEX, text, lambda run: bytes.fromhex(re.sub(r"0x|\\x|[\s:,]", "", run)))


def from_binary(text: str) -> str | None:
    """Text in runs of binary bytes."""
    return _decoded_runs(
        _BINARY, text, lambda run: bytes(int(b, 2) for b in re.findall("[01]{7,8}", run))
    )


def from_decimal(text: str) -> str | None:
    """Runs of bytes as decimal numbers that hold text."""
    return _decoded_runs(_DECIMAL, text, lambda run: bytes(map(int, re.findall("[0-9]+", run))))


def from_quoted_printable(text: str) -> str | None:
    """Quoted-printable text of mails."""
    if not _QUOTED.search(text):
        return None
    return binascii.a2b_qp(text.encode("utf-8", "replace")).decode("utf-8", "replace")


def from_percent(text: str) -> str | None:
    """URL-escaped text."""
    return unquote(text.replace("+", " ")) if _PERCENT.search(text) else None


def from_entities(text: str) -> str | None:
    """HTML character references."""
    return html.unescape(text) if _ENTITY.search(text) else None


def from_escapes(text: str) -> str | None:
    r"""Escapes such as ``\u0068``, ``\x68`` and ``\150``."""
    if not _ESCAPE.search(text):
        return None
    return _ESCAPED.sub(lambda m: chr(int(m[1] or m[2] or m[3], 8 if m[3] else 16)), text)


def from_morse(text: str) -> str | None:
    """Morse code, with ``/`` or a wide space between words."""
    return _MORSE.sub(lambda m: _morse(m.group()), text) if _MORSE.search(text) else None


def from_braille(text: str) -> str | None:
    """Braille cells of the Latin letters."""
    return "".join(_BRAILLE.get(c, c) for c in text) if _CELLS.search(text) else None


def from_capitals(text: str) -> str | None:
    """Text in capital letters, all of them or every other one."""
    return text.lower() if signs.capitals_like(text.encode("utf-8", "replace")) else None


def from_leet(text: str) -> str | None:
    """Text with digits and signs in place of letters."""
    if not _LEET_SIGN.search(text, 0, _SAMPLE):
        return None
    words = text[:_SAMPLE].split()
    leeted = [w for w in words if _LEET_SIGN.search(w.strip("!|+")) and _has_letters(w)]
    if len(leeted) < 2 or len(leeted) * 5 < len(words):
        return None
    return _LEETED.sub(lambda m: m.group().translate(_LEET), text)


def from_rotation(text: str) -> str | None:
    """ROT13, the other alphabet shifts, and the mirrored alphabet (Atbash)."""
    # This check is the cheapest, and most texts are readable.
    if is_readable(text):
        return None
    lowered = text[:_SAMPLE].lower()
    counts = [lowered.count(letter) for letter in _LOWER]
    if not any(counts):
        return None
    likely = _ROTATIONS[int((_LIKELIHOODS @ counts).argmax())]
    if likely == _LOWER:
        return None
    table = str.maketrans(_LOWER + _LOWER.upper(), likely + likely.upper())
    return text.translate(table) if _is_clearer(text[:_SAMPLE].translate(table), text) else None


def from_reversal(text: str) -> str | None:
    """Text written backwards."""
    return text[::-1] if _is_clearer(text[:_SAMPLE][::-1], text) else None


def from_reversed_words(text: str) -> str | None:
    """Text with each word written backwards."""
    return (
        _reverse_each_word(text) if _is_clearer(_reverse_each_word(text[:_SAMPLE]), text) else None
    )


def _reverse_each_word(text: str) -> str:
    return " ".join(word[::-1] for word in text.split())


# The decoders, each with a quick check that a text must pass first.
ENCODINGS: tuple[tuple[signs.Check, Decoder], ...] = (
    (signs.base64_like, from_base64),
    (signs.base32_like, from_base32),
    (signs.hex_like, from_hex),
    (signs.binary_like, from_binary),
    (signs.decimal_like, from_decimal),
    (signs.quoted_like, from_quoted_printable),
    (signs.percent_like, from_percent),
    (signs.entity_like, from_entities),
    (signs.escape_like, from_escapes),
    (signs.morse_like, from_morse),
    (signs.braille_like, from_braille),
    (signs.capitals_like, from_capitals),
    (signs.anything, from_leet),
    (signs.anything, from_reversal),
    (signs.anything, from_reversed_words),
    (signs.anything, from_rotation),
    (signs.json_like, from_json),
    (signs.markup_like, from_markup),
    (signs.yaml_like, from_yaml),
    (signs.table_like, from_table),
    (signs.reply_like, from_quoted_lines),
)

# The share of everyday words is 0.4 and more in plain English, 0.05 to 0.2 in other languages and
# code.
_READABLE_SHARE = 0.2
_CLEAR_SHARE = 0.15
_CLEARER_BY = 0.15
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_ROTATIONS = (_LOWER, *(_LOWER[k:] + _LOWER[:k] for k in range(1, 26)), _LOWER[::-1])
# Letters per thousand in English text (Norvig 2012, norvig.com/mayzner.html).
_PER_MILLE = (
    80.4, 14.8, 33.4, 38.2, 124.9, 24.0, 18.7, 50.5, 75.7, 1.6, 5.4, 40.7, 25.1, 72.3, 76.4, 21.4,
    1.2, 62.8, 65.1, 92.8, 27.3, 10.5, 16.8, 2.3, 16.6, 0.9,
)  # fmt: skip
_LETTER_LOG = dict(zip(_LOWER, map(math.log, _PER_MILLE), strict=True))
# The log likelihood of each letter in English text, for each rotation.
_LIKELIHOODS = np.array([[_LETTER_LOG[letter] for letter in target] for target in _ROTATIONS])


def _is_clearer(reading: str, text: str) -> bool:
    """Whether the reading makes sense and the text does not."""
    if is_readable(text):
        return False
    return words_share(reading) > max(_CLEAR_SHARE, words_share(text) + _CLEARER_BY)


def _has_letters(word: str) -> bool:
    return len(word) > 1 and any(map(str.isalpha, word))


def _decoded_runs(
    pattern: re.Pattern[str], text: str, decode: Callable[[str], bytes]
) -> str | None:
    found = [
        plain
        for match in pattern.finditer(text)
        if (plain := _decoded_if_text(match.group(), decode))
    ]
    # Only the decoded text is judged: the words around it would dilute it.
    return " ".join(found) if found else None


def _decoded_if_text(run: str, decode: Callable[[str], bytes]) -> str | None:
    try:
        plain = _as_text(decode(run))
    except (ValueError, binascii.Error):
        return None
    is_text = len(plain) >= 4 and all(c.isprintable() or c.isspace() for c in plain)
    return plain if is_text else None


def _as_text(raw: bytes) -> str:
    """Bytes as text, in UTF-8 or in UTF-16, as Windows has it: every other byte is mostly zero."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16")
    if raw[1::2].count(0) * 4 > len(raw):
        return raw.decode("utf-16-le")
    return raw.decode("utf-16-be" if raw[::2].count(0) * 4 > len(raw) else "utf-8")


def _base64(run: str) -> bytes:
    return base64.b64decode(_padded(run.replace("-", "+").replace("_", "/"), 4), validate=True)


def _padded(run: str, group: int) -> str:
    bare = run.rstrip("=")
    return bare + "=" * (-len(bare) % group)


def _morse(run: str) -> str:
    plain = run.replace("·", ".").replace("–", "-").replace("_", "-")
    words = re.split(r"\s*[/|]\s*|\s{3,}|\n", plain)
    return " ".join("".join(MORSE.get(s, "") for s in word.split()) for word in words)

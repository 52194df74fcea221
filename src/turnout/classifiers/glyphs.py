"""Undoes tricks with characters: invisible ones, look-alikes, decorated and flipped letters.

Deterministic and linear in the text's length. Knows characters only, no encodings.
"""

import re
import unicodedata

from turnout.classifiers.signs import dotted_like

_TAG_BASE = 0xE0000
_UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e001f\U000e0100-\U000e01ef"
)
_INVISIBLE = re.compile(f"[{_UNSEEN}]")
_HIDDEN = re.compile(f"[{_UNSEEN}\U000e0020-\U000e007e]")
_TAGS = re.compile("[\U000e0020-\U000e007e]+")
# Marks that Latin, Greek and Cyrillic letters carry; other scripts need theirs to be read.
_MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0\ufe20-\ufe2f]+"
)
_SELECTED = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}")
_WORD = re.compile(r"[^\W\d_]+")
_LATIN = re.compile("[A-Za-z]")

_PAIRS = (
    # Cyrillic
    "аa вb сc ԁd еe ғf ԍg һh іi јj кk ӏl мm пn оo рp ԛq гr ѕs тt цu ѵv ԝw хx уy ʐz "
    "АA ВB СC ЕE НH ІI ЈJ КK МM ОO РP ԚQ ЅS ТT ѴV ԜW ХX УY ҮY Ғf Ӏl ӧo ґr "
    # Greek
    "αa βb εe ηn ιi κk νv οo ρp τt υu χx γy ωw σo ϲc ϳj "
    "ΑA ΒB ΕE ΗH ΙI ΚK ΜM ΝN ΟO ΡP ΤT ΥY ΧX ΖZ "
    # Armenian, Cherokee, Lisu and others that pass for Latin
    "օo սu ոn հh ցg զq ԼL աw Ꭺa Ᏼb Ꮯc Ꭰd Ꭼe Ꮐg Ꮋh Ꭵi Ꭻj Ꮶk Ꮮl Ꮇm Ꮲp Ꭱr Ꮪs Ꭲt Ꮩv Ꮃw Ꮍy Ꮓz "
    # small capitals and phonetic letters
    "ᴀa ʙb ᴄc ᴅd ᴇe ꜰf ɢg ʜh ɪi ᴊj ᴋk ʟl ᴍm ɴn ᴏo ᴘp ꞯq ʀr ꜱs ᴛt ᴜu ᴠv ᴡw ʏy ᴢz ɑa ɡg ıi ɩi ƅb ǀl "
    # flipped
    "ɐa ɔc ǝe ɟf ƃg ɥh ᴉi ɾj ʞk ɯm ɹr ʇt ʌv ʍw ʎy "
    # stroked and hooked
    "đd ħh łl øo ŧt ƀb ɓb ƈc ɗd ƒf ɠg ƙk ƞn ƥp ƭt ʋv ƴy ƶz ŋn"
)
_CONFUSABLE = {pair[0]: pair[1] for pair in _PAIRS.split()}
_ALIKE = "".join(c for c in _CONFUSABLE if not c.isascii())
_LOOKALIKE = re.compile(f"[{_ALIKE}]")
_ONLY_ALIKE = re.compile(f"[\0-\x7f{_ALIKE}]+")
_FOLD = str.maketrans(_CONFUSABLE)
_ENCLOSED = str.maketrans(
    {
        chr(start + i): chr(ord("a") + i)
        for start in (0x1F130, 0x1F150, 0x1F170, 0x1F1E6)
        for i in range(26)
    }
)
_BOXED = re.compile("[\U0001f130-\U0001f1ff]")
_DOTTED = re.compile(r"(?<!\w)\w[.\-_*·|/](?:[\w ][.\-_*·|/])+\w(?!\w)")
_GAPS = re.compile(r"\s{2,}")
_SPACED = 6


def unmasked(text: str) -> str:
    """The text as it was meant to be read; the same object where nothing is hidden."""
    if text.isascii():
        return text
    plain = text
    if _HIDDEN.search(plain):
        plain = _TAGS.sub(lambda m: " " + _from_tags(m.group()) + " ", plain)
        plain = _SELECTED.sub(lambda m: " " + _from_selectors(m.group()) + " ", plain)
        plain = _INVISIBLE.sub("", plain)
    if _BOXED.search(plain):
        plain = plain.translate(_ENCLOSED)
    return _with_latin_letters(_without_marks(unicodedata.normalize("NFKC", plain)))


def _without_marks(text: str) -> str:
    """Without stacked marks; where they are stacked, composed letters lose theirs too."""
    left = sum(len(run) for run in _MARKS.findall(text))
    if not left:
        return text
    if left * 10 > len(text):
        text = unicodedata.normalize("NFD", text)
    return _MARKS.sub("", text)


def _with_latin_letters(text: str) -> str:
    """Look-alikes as Latin letters, in texts where they pass for them."""
    if not _LOOKALIKE.search(text):
        return text
    foreign = [word for word in _WORD.findall(text) if _LOOKALIKE.search(word)]
    mixed = any(map(_LATIN.search, foreign))
    passes = mixed or all(map(_ONLY_ALIKE.fullmatch, foreign))
    return text.translate(_FOLD) if passes else text


def without_letter_spacing(text: str) -> str:
    """Words whose letters were spaced or dotted out (``h o w  t o``), put together again."""
    lengths = list(map(len, text.split()))
    if len(lengths) >= _SPACED and lengths.count(1) * 10 >= len(lengths) * 7:
        text = " ".join("".join(word.split()) for word in _GAPS.split(text))
    if not dotted_like(text.encode("utf-8", "replace")):
        return text
    return _DOTTED.sub(lambda m: m.group()[::2], text)


def _from_tags(hidden: str) -> str:
    return "".join(chr(ord(c) - _TAG_BASE) for c in hidden)


def _from_selectors(hidden: str) -> str:
    """Bytes smuggled as variation selectors: 0-15 in one block, 16-255 in the other."""
    data = bytes(
        ord(c) - 0xFE00 if ord(c) < 0x10000 else min(ord(c) - 0xE0100 + 16, 255) for c in hidden
    )
    return data.decode("utf-8", "ignore")

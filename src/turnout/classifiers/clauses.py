"""Splits a text into clauses: what a line, a sentence, a field or a tag ends.

Invariant: joined, the clauses give the text again, and each of them has a letter or a digit.
This module does not know what a clause says.
"""

import re
from collections.abc import Iterator

from turnout.classifiers.window import WIDE_ENDS

# Pictures and arrows separate texts where nothing else does; brackets and quotes of all scripts.
_PICTURES = (
    r"\u2190-\u21ff\u2300-\u23ff\u2500-\u27bf\u2900-\u297f\u2b00-\u2bff"
    r"\U0001f000-\U0001faff\ufe0f\u200d"
)
_WIDE = f"{WIDE_ENDS}：،؟"
_OPEN, _CLOSE = "⟦⟨⟪【〔〖《〈", "⟧⟩⟫】〕〗》〉"
QUOTE_PAIRS = "«»“”「」『』"
_QUOTING = f"„‹›{QUOTE_PAIRS}"
# Lines, sentences, fields and tags end a clause; what marks the end stays with it. The lookaheads
# in front save what cannot begin an end from all the alternatives: letters, and a blank before a
# word that another blank follows.
_END = re.compile(
    r"\A[A-Za-z_]+[|/]+(?=\S)|"
    rf"(?=[\s.!?;:,#=|/{_WIDE}>}}\])\"`<&{_PICTURES}{_OPEN}{_CLOSE}{_QUOTING}])"
    r"(?! [A-Za-z0-9]++ )(?:"
    r"\s*\n\s*"
    r"|(?:(?<!(?<!['’])\b\w)[.!?;]|:)[.!?;:]*[\"')\]}*_]*\s+"
    rf"|[{_WIDE}]+[\"'」』）]*\s*"
    r"|(?<=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])[.,!?;:]+\s*"
    r"|\s+(?:[-–—=]+>|[-–—|/#=→←~*•]+)\s+"
    r"|[>}\])]+\s*(?=\S)"
    rf"|\s+(?=[\[({{<\"'`#@{_PICTURES}{_OPEN}{_QUOTING}])"
    rf"|[{_PICTURES}{_CLOSE}]+\s*"
    rf"|(?<=\w)(?=[{_PICTURES}{_OPEN}])"
    r"|(?<=\S)(?=</|<[a-z|!])"
    rf"|[\"`{_QUOTING}]+\s*[:,;)]?\s*(?=\S)"
    r"|(?<=[^\s&;,|/])(?=[&;,|/]+[A-Za-z]\w+[=:]\S)"
    r"|[?&;,|/][A-Za-z]\w+[=:](?=\S)"
    r"|(?<=[A-Za-z]{3})[:=][A-Za-z]\w+[;|/]+(?:\w+[:=])?(?=\S)"
    r"|(?<=[^\s|/])(?=[|/]+[A-Za-z_]+\Z)"
    r"|\s+(?=[A-Za-z_]{3,}=[^\s=])"
    r"|(?<=[A-Za-z_]{3})=[\w\"'-]+\s+"
    r"|(?<!\S)#\w+\s+"
    r")"
)
# Words, numbers and commas, in which no end of a clause need be searched for.
_UNBROKEN = re.compile(r"(?>(?:[A-Za-z0-9, ]++(?>(?:(?<! )['-](?=[A-Za-z0-9]))?))+)[.!?]?")
_LETTER = re.compile(r"\w")
# Signs that close something or end a sentence.
_CLOSES = re.compile(r"[.!?;:,)\]}>`\"']")
# The comma is first in the pattern: what is no comma is passed over in one go. Most are followed by
# a small letter and are no ends.
_COMMA = re.compile(r",(?:(?<=[^\W\d],)\s++(?![a-z0-9])|(?<=[.!?。？！],)\s++)")
_SENTENCE_ENDS = tuple(".!?。？！")
COLONS = (":", "：")
_OPENING_CHARACTERS = range(8, 121)


def clauses(text: str) -> list[str]:
    """The clauses of a text, in order."""
    if _UNBROKEN.fullmatch(text):
        return [text]
    found: list[str] = []
    start = looked = 0
    for end in (*(m.end() for m in _END.finditer(text)), len(text)):
        # Looking at the new part alone keeps a text of many ends and no letter in linear time.
        if _LETTER.search(text, looked, end):
            found.append(text[start:end])
            start = end
        elif found and looked == start and _closes(found[-1], text[start:end]):
            found[-1] += text[start:end]
            start = end
        looked = end
    if start < len(text):
        rest = text[start:]
        return [*found[:-1], found[-1] + rest] if found else [rest]
    return found


def comma_ends(clause: str) -> Iterator[int]:
    """Ends of commas behind which another text may begin.

    What follows begins with no small letter, or a sentence has ended before the comma.
    """
    for comma in _COMMA.finditer(clause):
        end = comma.end()
        if not _LETTER.search(clause, end):
            return
        if clause.endswith(_SENTENCE_ENDS, 0, comma.start()) or not _goes_on(clause[end]):
            yield end


def _goes_on(sign: str) -> bool:
    """Whether a sentence goes on with this sign after a comma."""
    return sign.islower() or sign.isdigit()


def _closes(clause: str, signs: str) -> bool:
    """Whether signs alone belong to the clause before them: they end its line, or close it."""
    if clause[-1].isspace():
        return "\n" in signs and not clause.endswith("\n")
    return "\n" in signs or _CLOSES.match(signs) is not None


def may_open_task(clause: str) -> bool:
    """Whether a first clause may introduce a task: it ends its line, or ends with a colon."""
    ends = clause.rstrip().endswith(COLONS) or "\n" in clause
    return ends and len(clause) in _OPENING_CHARACTERS

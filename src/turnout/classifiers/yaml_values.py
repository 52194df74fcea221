"""Reads what the values of YAML say, as in settings, front matter and tickets.

Names and other values stand around a sentence there, as in JSON: of unsafe texts that are caught
alone, one in eight was found as a quoted value. Linear in the text's length.
"""

import re

from turnout.classifiers.json_strings import unescaped
from turnout.classifiers.words import worded_lines

# A name in small letters, as programs give them: lines of a play or of minutes begin with people's.
# Behind it stands a value, or, behind a sign, a block of lines that are indented more.
_PAIR = re.compile(
    r"^( *+)(?>(?:- ++)*)[a-z_][\w.-]{0,40}+:"
    r"(?: ++[|>][-+\d]*+ *\n((?>(?:\1 ++\S.*(?:\n|\Z)| *+\n)+))| ++(\S.*)|(?= *$))",
    re.MULTILINE,
)
_LEAST = 2
# In programs types stand behind names, and more behind them.
_CODE = re.compile(r" = |[,(\[{]$")


def from_yaml(text: str) -> str | None:
    """The values of several words, a line each, or None where there are no pairs."""
    pairs = _PAIR.findall(text)
    if len(pairs) < _LEAST:
        return None
    return worded_lines(" ".join(block.split()) or _unquoted(value) for _, block, value in pairs)


def _unquoted(value: str) -> str:
    """A value without its quotes, nothing of a program's."""
    value = value.strip()
    if _CODE.search(value):
        return ""
    if value[:1] == value[-1:] == '"':
        return unescaped(value[1:-1])
    if value[:1] == value[-1:] == "'":
        return value[1:-1].replace("''", "'")
    return value

"""Reads what quoted lines say, as in mails that answer others: each begins with ``>``.

The signs stand within a sentence wherever its line was broken: of unsafe texts that are caught
alone, one in five was found. Linear in the text's length.
"""

import re
from itertools import groupby

from turnout.classifiers.words import worded_lines

_LINE = re.compile(r"^[ \t]*+((?>(?:>[ \t]?)+))(.*)", re.MULTILINE)


def from_quoted_lines(text: str) -> str | None:
    """The quoted texts of several words, a line each, or None where no line is quoted."""
    lines = [(marks.count(">"), content.strip()) for marks, content in _LINE.findall(text)]
    return worded_lines(
        " ".join(content for _, content in run) for _, run in groupby(lines, lambda line: line[0])
    )

r"""Reads the strings in JSON, as in the arguments and the results of tools.

The names, brackets and quotes around a sentence dilute it: of texts that are judged unsafe when
they stand alone, only a third were recognised as the only argument of a call. JSON that is cut off
or inside other text is read too. Linear in the text's length.
"""

import re

import orjson

from turnout.classifiers.words import worded_lines

_OPENS = re.compile(r'\{\s*"[^"\\]*"\s*:|\[\s*"')
# A name or a value of at least two words.
_STRING = re.compile(r'[:,\[{]\s*"((?>(?:[^"\\]|\\.)*))(?:"(?=\s*[:,\]}])|\Z)', re.DOTALL)
_LEAST = 2


def from_json(text: str) -> str | None:
    """The strings of more than one word, one on each line; None if there is no JSON."""
    if not _OPENS.search(text):
        return None
    return worded_lines(map(unescaped, _STRING.findall(text)), _LEAST)


def unescaped(run: str) -> str:
    """What stands between the quotes of a string, as it was before it was written there."""
    try:
        return str(orjson.loads(f'"{run}"'))
    except orjson.JSONDecodeError:
        return run

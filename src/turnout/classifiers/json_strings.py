r"""Reads the strings in JSON, as in the arguments and the results of tools.

The names, brackets and quotes around a sentence dilute it: of texts that are judged unsafe when
they stand alone, only a third were recognised as the only argument of a call. JSON that is cut off
or inside other text is read too. Linear in the text's length.
"""

import re

import orjson

_OPENS = re.compile(r'\{\s*"[^"\\]*"\s*:|\[\s*"')
# A name or a value of more than one word.
_STRING = re.compile(r'[:,\[{]\s*"((?:[^"\\]|\\.)*+)(?:"(?=\s*[:,\]}])|\Z)', re.DOTALL)


def from_json(text: str) -> str | None:
    """The strings of more than one word, one on each line; None if there is no JSON."""
    if not _OPENS.search(text):
        return None
    said = [run for run in _STRING.findall(text) if len(run.split(None, 1)) > 1]
    return "\n".join(map(_unescaped, said)) or None


def _unescaped(run: str) -> str:
    try:
        return str(orjson.loads(f'"{run}"'))
    except orjson.JSONDecodeError:
        return run

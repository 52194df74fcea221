"""JSON as a request body: one reading only, and bounded.

Invariant: what two parsers could read differently is refused: duplicate keys, NaN, infinities,
invalid UTF-8, byte order marks and lone surrogates; so is nesting beyond ``MAX_DEPTH``.
"""

import re
from typing import Any

import orjson

MAX_DEPTH = 64
MAX_KEYS = 100_000

# Every string of a document, with the colon that makes it a key; valid JSON has no other quotes.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?', re.DOTALL)

_SPACED = re.compile(rb'"\s+:')


class NotStrictJson(Exception):
    """The body is not JSON of the strict kind; the message says why in one line."""


def loads(data: bytes | bytearray) -> Any:
    """The value in ``data``. Raises NotStrictJson."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise NotStrictJson(f"the body is not valid JSON: {error}") from error
    keys = _keys(value)
    # A quote within a string is escaped but may stand before a colon, so that there are no fewer of
    # these than keys; only where the numbers differ has each string to be looked at.
    plain = data.count(b'":') == keys and _SPACED.search(data) is None
    if not plain and keys != sum(map(bool, _STRING.findall(data))):
        raise NotStrictJson("the body has an object with a key given twice; keep one")
    return value


def _keys(value: Any) -> int:
    """How many keys all objects have. Raises NotStrictJson for what is nested too deeply."""
    keys = 0
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for item in level:
            # The parser makes these types themselves and nothing derived from them.
            kind = type(item)
            if kind is dict:
                keys += len(item)
                inner += item.values()
            elif kind is list:
                inner += item
        if keys > MAX_KEYS:
            raise NotStrictJson(f"the body has more than {MAX_KEYS:,} keys")
        if not inner:
            return keys
        level = inner
    raise NotStrictJson(f"the body is nested deeper than {MAX_DEPTH} levels")

"""JSON as a request body: one reading only, and bounded.

Invariant: what two parsers could read differently is refused: duplicate keys, NaN, infinities,
invalid UTF-8, byte order marks and lone surrogates; so is nesting beyond ``MAX_DEPTH``.
"""

import re
from typing import Any

import orjson

MAX_DEPTH = 64
MAX_KEYS = 100_000

# Every string of a document without escapes, with the colon that makes it a key; valid JSON has no
# other quotes.
_STRING = re.compile(rb'"[^"]*"(\s*:)?')
# So many bytes are looked at in one call: other threads wait until it returns.
_SPAN = 2**20

_SPACED = re.compile(rb'"\s+:')


class NotStrictJson(Exception):
    """The body is not JSON of the strict kind; the message says why in one line."""


def loads(data: bytes | bytearray) -> Any:
    """The value in ``data``. Raises NotStrictJson."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise NotStrictJson(f"the body is not valid JSON: {error}") from error
    if _has_duplicate_keys(data, _count_keys(value)):
        raise NotStrictJson("the body has an object with a key given twice; keep one")
    return value


def _has_duplicate_keys(data: bytes | bytearray, keys: int) -> bool:
    """Whether the document has more keys than its value, cheap tests first.

    Each key has a colon, and right before that a quote unless there is space. Strings may have the
    same, so that only where these are too many each string has to be looked at.
    """
    if data.count(b":") == keys:
        return False
    if data.count(b'":') == keys and _SPACED.search(data) is None:
        return False
    plain = _unescaped(data)
    if len(data) <= _SPAN:
        return keys != sum(map(bool, _STRING.findall(plain)))
    return keys != sum(1 for string in _STRING.finditer(plain) if string[1])


def _unescaped(data: bytes | bytearray) -> bytes:
    """The document without escaped backslashes and quotes, so that each quote is a string's end."""
    found, start = [], 0
    while start < len(data):
        end = start + _SPAN
        while data[end - 1 : end] == b"\\":
            end += 1
        found.append(bytes(data[start:end]).replace(rb"\\", b"").replace(rb"\"", b""))
        start = end
    return b"".join(found)


def _count_keys(value: Any) -> int:
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

"""Hashes by which a request is recognised when it comes again."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from turnout.gateway.request_headers import CLASS_HEADERS


def relevant_headers(headers: Mapping[bytes, bytes]) -> list[list[str]]:
    """The headers that a request's answer depends on, sorted."""
    prefixes = (b"x-turnout-", b"anthropic-")
    found = sorted(
        item for item in headers.items() if item[0].startswith(prefixes) or item[0] in CLASS_HEADERS
    )
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in found]


def digest(parts: Iterable[Any]) -> bytes:
    """The SHA-256 of JSON-ready parts, each preceded by its length."""
    hashed = hashlib.sha256()
    for part in parts:
        text = orjson.dumps(part, option=orjson.OPT_SORT_KEYS)
        hashed.update(b"%d:" % len(text))
        hashed.update(text)
    return hashed.digest()

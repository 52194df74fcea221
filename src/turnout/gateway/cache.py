"""Exact answers kept for a while, each tenant's own: off unless the configuration names a time.

Invariant: an answer is found again only by the tenant, the rights, the rules, the API and the whole
body it was made for; only complete and safe ones are kept, and never more bytes than allowed.
This module does not know how answers are made.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from turnout.core import Caller
from turnout.gateway.exchange import EVENTS, JSON, Exchange, Headers
from turnout.gateway.inbound import SAYING_CLASS
from turnout.gateway.says import decision_headers, left_out_header
from turnout.runtime import Walk

_OVERHEAD_BYTES = 1500
_COST = b"x-turnout-cost-usd"


class Kept(NamedTuple):
    """An answer's bytes as they were sent, whole or a stream, and the headers that say why."""

    until_s: float
    stream: bool
    says: Headers
    body: bytes


class Cache:
    """Keeps the answers used last; ``most_bytes`` bounds them, told with each one kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self.size_bytes = 0

    def get(self, key: bytes) -> Kept | None:
        """The answer, unless its time is over."""
        found = self._kept.get(key)
        if found is None:
            return None
        if found.until_s <= time.monotonic():
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return found

    def put(self, key: bytes, kept: Kept, most_bytes: int) -> None:
        """Keep an answer; those not used for longest make room for it."""
        self._forget(key)
        if _size(kept) > most_bytes:
            return
        self._kept[key] = kept
        self.size_bytes += _size(kept)
        while self.size_bytes > most_bytes:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: bytes) -> None:
        old = self._kept.pop(key, None)
        if old is not None:
            self.size_bytes -= _size(old)


def _size(kept: Kept) -> int:
    return len(kept.body) + _OVERHEAD_BYTES


def key_of(
    caller: Caller,
    owner: str | None,
    api: str,
    bundle: str,
    headers: Mapping[bytes, bytes],
    body: object,
) -> bytes:
    """The hash of all that an answer depends on; ``owner`` is the key where rules name keys."""
    rights = None if caller.models is None else sorted(caller.models)
    return digest([caller.tenant, owner, rights, api, bundle, said(headers), body])


def said(headers: Mapping[bytes, bytes]) -> list[list[str]]:
    """The headers that a request's answer depends on."""
    heeded = (b"x-turnout-", b"anth")
    found = sorted(
        item for item in headers.items() if item[0].startswith(heeded) or item[0] in SAYING_CLASS
    )
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in found]


def digest(parts: Iterable[Any]) -> bytes:
    """The SHA-256 of JSON-ready parts, each with its length before it."""
    hashed = hashlib.sha256()
    for part in parts:
        text = orjson.dumps(part, option=orjson.OPT_SORT_KEYS)
        hashed.update(b"%d:" % len(text))
        hashed.update(text)
    return hashed.digest()


def kept_of(walk: Walk, out: Exchange, ttl_s: float, *, stream: bool) -> Kept | None:
    """An answer to be kept: one that is complete, safe, a 200, and all of it was sent."""
    if out.copy is None or out.status != 200 or not out.finished or out.gone:
        return None
    if walk.decision.blocked or walk.stopped or not walk.outcomes or not walk.complete:
        return None
    if walk.unfit is not None:
        return None  # another key, or the same one later, has room for the model that is meant
    last = walk.outcomes[-1]
    if last.status != "ok" or last.finish_reason == "content_filter":
        return None
    return Kept(
        until_s=time.monotonic() + ttl_s,
        stream=stream,
        says=_why(walk, last.model or ""),
        body=b"".join(out.copy),
    )


def _why(walk: Walk, model: str) -> Headers:
    """The headers of the answer that was made, but for its cost."""
    headers = decision_headers(walk, model, None, final=True)
    return [line for line in headers if line[0] != _COST] + left_out_header(walk)


async def replay(kept: Kept, out: Exchange) -> None:
    """Send a kept answer, marked as one that cost nothing."""
    headers: Headers = [
        EVENTS if kept.stream else JSON,
        (b"x-turnout-cache", b"hit"),
        *kept.says,
        (_COST, b"0"),
    ]
    if kept.stream:
        await out.begin(200, headers)
        await out.end(kept.body)
    else:
        await out.whole(200, headers, kept.body)

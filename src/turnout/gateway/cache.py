"""Answers kept for the same request again, per tenant; off unless the configuration names a time.

Invariant: an answer is found again only for the tenant, the rights, the rules, the API and the
whole body it was made for. Only complete and safe ones are kept, never more bytes than allowed.
This module does not know how answers are made.
"""

import time
from collections import OrderedDict
from typing import NamedTuple

from turnout.gateway.arrival import Arrival
from turnout.gateway.digest import digest, said
from turnout.gateway.exchange import EVENTS, JSON, Exchange, Headers
from turnout.gateway.says import decision_headers, left_out_header
from turnout.runtime import Walk, offload_if_long

_OVERHEAD_BYTES = 1500
_COST = b"x-turnout-cost-usd"


class Kept(NamedTuple):
    """An answer's bytes as they were sent, whole or streamed, and the headers that explain it."""

    until_s: float
    stream: bool
    says: Headers
    body: bytes


class Cache:
    """Keeps the answers that were used last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self.size_bytes = 0

    def get(self, key: bytes) -> Kept | None:
        """The answer, unless it has expired."""
        found = self._kept.get(key)
        if found is None:
            return None
        if found.until_s <= time.monotonic():
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return found

    def put(self, key: bytes, kept: Kept, most_bytes: int) -> None:
        """Keep an answer; the least recently used go, so that all have at most ``most_bytes``."""
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


async def key_of(arrival: Arrival) -> bytes | None:
    """The hash of all that an answer depends on; None where no answers are kept."""
    if not arrival.engine.parts.config.cache.ttl_s:
        return None
    return await offload_if_long(arrival.body_bytes, _key, arrival)


def _key(arrival: Arrival) -> bytes:
    parts, caller = arrival.engine.parts, arrival.caller
    knobs, bundle = parts.config.knobs, parts.means.rules.bundle
    owner = caller.key if knobs is not None and knobs.keys else None
    rights = None if caller.models is None else sorted(caller.models)
    whose = caller.tenant, owner, rights
    asked = [arrival.payload, arrival.follows]
    return digest([*whose, arrival.path, bundle, said(arrival.headers), asked])


def kept_of(walk: Walk, out: Exchange, ttl_s: float, *, stream: bool) -> Kept | None:
    """The answer if it may be kept: a complete and safe 200, all of which was sent."""
    if out.copy is None or out.status != 200 or not out.finished or out.gone:
        return None
    if walk.decision.blocked or walk.stopped or not walk.outcomes or not walk.complete:
        return None
    if walk.over_budget_model is not None:
        return None  # with more budget left, a better model would have answered
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
    """The headers that explain the answer, without its cost."""
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

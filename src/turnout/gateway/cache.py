"""Answers kept for the same request again, per tenant; off unless the configuration names a time.

Invariant: an answer is found again only for the tenant, the rights, the rules, the API and the
whole body it was made for. Only complete and safe ones are kept, never more bytes than allowed.
This module does not know how answers are made.
"""

import time
from collections import OrderedDict
from typing import NamedTuple

from turnout.gateway.answer_headers import decision_headers, left_out_header
from turnout.gateway.arrival import Arrival
from turnout.gateway.digest import digest, relevant_headers
from turnout.gateway.exchange import EVENTS, JSON, Exchange, Headers
from turnout.runtime import Walk

_OVERHEAD_BYTES = 1500
_COST = b"x-turnout-cost-usd"


class CachedAnswer(NamedTuple):
    """An answer's bytes as they were sent, whole or streamed, and the headers that explain it."""

    expires_s: float
    stream: bool
    headers: Headers
    body: bytes


class Cache:
    """Keeps the answers that were used last."""

    def __init__(self) -> None:
        self._cached: OrderedDict[bytes, CachedAnswer] = OrderedDict()
        self.size_bytes = 0

    def get(self, key: bytes) -> CachedAnswer | None:
        """The answer, unless it has expired."""
        found = self._cached.get(key)
        if found is None:
            return None
        if found.expires_s <= time.monotonic():
            self._remove(key)
            return None
        self._cached.move_to_end(key)
        return found

    def put(self, key: bytes, cached: CachedAnswer, most_bytes: int) -> None:
        """Keep an answer; the least recently used go, so that all have at most ``most_bytes``."""
        self._remove(key)
        if _size(cached) > most_bytes:
            return
        self._cached[key] = cached
        self.size_bytes += _size(cached)
        while self.size_bytes > most_bytes:
            self._remove(next(iter(self._cached)))

    def _remove(self, key: bytes) -> None:
        old = self._cached.pop(key, None)
        if old is not None:
            self.size_bytes -= _size(old)


def _size(cached: CachedAnswer) -> int:
    return len(cached.body) + _OVERHEAD_BYTES


def cache_key(arrival: Arrival) -> bytes:
    """The hash of all that an answer depends on."""
    parts, caller = arrival.engine.parts, arrival.caller
    knobs, bundle = parts.config.knobs, parts.means.rules.bundle
    owner = caller.key if knobs is not None and knobs.keys else None
    rights = None if caller.models is None else sorted(caller.models)
    scope = caller.tenant, owner, rights
    request = [arrival.payload, arrival.follows]
    return digest([*scope, arrival.path, bundle, relevant_headers(arrival.headers), request])


def cacheable_answer(
    walk: Walk, out: Exchange, ttl_s: float, *, stream: bool
) -> CachedAnswer | None:
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
    return CachedAnswer(
        expires_s=time.monotonic() + ttl_s,
        stream=stream,
        headers=_decision_headers(walk, last.model or ""),
        body=b"".join(out.copy),
    )


def _decision_headers(walk: Walk, model: str) -> Headers:
    """The headers that explain the answer, without its cost."""
    headers = decision_headers(walk, model, None, final=True)
    return [line for line in headers if line[0] != _COST] + left_out_header(walk)


async def send_cached(cached: CachedAnswer, out: Exchange) -> None:
    """Send a kept answer, marked as one that cost nothing."""
    headers: Headers = [
        EVENTS if cached.stream else JSON,
        (b"x-turnout-cache", b"hit"),
        *cached.headers,
        (_COST, b"0"),
    ]
    if cached.stream:
        await out.begin(200, headers)
        await out.end(cached.body)
    else:
        await out.whole(200, headers, cached.body)

"""A record of what an upstream really did, to compare a ledger with.

Invariant: an entry is written as the work is done, so it is true whatever happens to the peer.
This module does not know sockets or prices.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True)
class InvoiceEntry:
    """One call, as the upstream bills it.

    ``prompt_tokens`` is 0 until the work begins; ``cached_tokens`` and ``written_tokens`` (read
    from a cache and written to it) are part of it. ``completion_tokens`` counts the tokens that
    were really produced, including ``reasoning_tokens``. ``peer_closed_after`` is the number of
    tokens produced when the peer was found to be gone. Times are seconds of the monotonic clock.
    """

    request_id: str
    nonce: str
    model: str
    stream: bool
    started_s: float
    status: int | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    usage_sent: bool = False
    finished: bool = False
    peer_closed_after: int | None = None
    ended_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRequest:
    """A request as it arrived; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


def usage_object(entry: InvoiceEntry, flags: frozenset[str]) -> dict[str, Any] | None:
    """The ``usage`` that the upstream reports for a call, in the dialect the flags name."""
    if "nullusage" in flags:
        return None
    text = entry.completion_tokens - (entry.reasoning_tokens if "xai" in flags else 0)
    usage: dict[str, Any] = {
        "prompt_tokens": entry.prompt_tokens,
        "completion_tokens": text,
        "total_tokens": entry.prompt_tokens + entry.completion_tokens,
    }
    if entry.reasoning_tokens:
        usage["completion_tokens_details"] = {"reasoning_tokens": entry.reasoning_tokens}
    if "deepseek" in flags:
        usage["prompt_cache_hit_tokens"] = entry.cached_tokens
        usage["prompt_cache_miss_tokens"] = entry.prompt_tokens - entry.cached_tokens
    elif entry.cached_tokens or entry.written_tokens:
        usage["prompt_tokens_details"] = {"cached_tokens": entry.cached_tokens}
        if entry.written_tokens:
            usage["prompt_tokens_details"]["cache_write_tokens"] = entry.written_tokens
    if "costs" in flags or "byok" in flags:
        usage |= _stated_cost(own_key="byok" in flags)
    if "negusage" in flags:
        usage["completion_tokens"] = -1
    if "wrongusage" in flags:
        usage["total_tokens"] = 1
    return usage


def _stated_cost(*, own_key: bool) -> dict[str, Any]:
    return {
        "cost": 0 if own_key else 0.02,
        "is_byok": own_key,
        "cost_details": {"upstream_inference_cost": 0.02},
    }

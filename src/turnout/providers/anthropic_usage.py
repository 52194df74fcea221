"""Token usage out of Anthropic's payloads, where the three kinds of input are disjoint.

Source: platform.claude.com/docs/en/build-with-claude/prompt-caching (``input_tokens`` leaves out
what was read from and written to the cache) and .../extended-thinking (thinking is part of
``output_tokens``). Invariant: a count that cannot be right makes the usage missing.
"""

from collections.abc import Mapping
from typing import Any

from turnout.core import Usage
from turnout.providers.counts import WrongCount, count, required

_NAMES = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
    "output_tokens",
)
_FOR_AN_HOUR = "ephemeral_1h_input_tokens"


def anthropic_usage(*payloads: object) -> Usage | None:
    """The usage that ``payloads`` add up to: a later one's counts replace an earlier one's."""
    counts: dict[str, Any] = {}
    for payload in payloads:
        if isinstance(payload, Mapping):
            counts.update({n: payload[n] for n in _NAMES if payload.get(n) is not None})
    try:
        usage = Usage(
            input=required(counts, "input_tokens"),
            cache_read=count(counts, "cache_read_input_tokens") or 0,
            cache_write=count(counts, "cache_creation_input_tokens") or 0,
            output=required(counts, "output_tokens"),
            lasting=_lasts(counts.get("cache_creation")),
        )
    except WrongCount:
        return None
    return usage if usage.total_input else None  # no call is without a prompt


def _lasts(created: object) -> bool:
    return isinstance(created, Mapping) and bool(count(created, _FOR_AN_HOUR))

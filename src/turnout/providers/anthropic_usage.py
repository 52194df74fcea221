"""Token usage out of Anthropic's payloads, where the three kinds of input are disjoint.

Source: platform.claude.com/docs/en/build-with-claude/prompt-caching (``input_tokens`` leaves out
what was read from and written to the cache) and .../extended-thinking (thinking is part of
``output_tokens``). Invariant: a count that cannot be right makes the usage missing.
"""

from collections.abc import Mapping
from typing import Any

from turnout.core import Usage

_MOST_TOKENS = 10**9
_NAMES = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens",
)


def anthropic_usage(*payloads: object) -> Usage | None:
    """The usage that ``payloads`` add up to: a later one's counts replace an earlier one's."""
    counts: dict[str, Any] = {}
    for payload in payloads:
        if isinstance(payload, Mapping):
            counts.update({n: payload[n] for n in _NAMES if payload.get(n) is not None})
    if "input_tokens" not in counts or "output_tokens" not in counts:
        return None
    if not all(_is_count(value) for value in counts.values()):
        return None
    return Usage(
        input=counts["input_tokens"],
        cache_read=counts.get("cache_read_input_tokens", 0),
        cache_write=counts.get("cache_creation_input_tokens", 0),
        output=counts["output_tokens"],
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS

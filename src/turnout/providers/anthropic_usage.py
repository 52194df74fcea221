"""Reads token usage from Anthropic's payloads, where the three kinds of input are disjoint.

Sources: platform.claude.com/docs/en/build-with-claude/prompt-caching (``input_tokens`` excludes
tokens read from and written to the cache), .../extended-thinking (thinking is part of
``output_tokens``), .../compaction (the tokens of a summary are only in ``iterations``) and
.../web-search-tool (each search is billed). Invariant: an impossible count makes the usage missing;
usage that includes another model's tokens is unpriced.
"""

from collections.abc import Mapping
from typing import Any

from turnout.core import Usage
from turnout.core.lost_fields import objects_in
from turnout.providers.counts import WrongCount, count, inner_count, required

_NAMES = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
    "iterations",
)
# Iterations whose tokens the counts include, and those whose tokens come on top at the same price.
_COUNTED, _ON_TOP = "message", "compaction"
_FOR_AN_HOUR = "ephemeral_1h_input_tokens"


def anthropic_usage(*payloads: object) -> Usage | None:
    """The usage in ``payloads``; the counts of a later one replace those of an earlier one."""
    counts: dict[str, Any] = {}
    for payload in payloads:
        if isinstance(payload, Mapping):
            counts.update({n: payload[n] for n in _NAMES if payload.get(n) is not None})
    try:
        usage = _read(counts)
    except WrongCount:
        return None
    return usage if usage.total_input else None  # each call has a prompt


def _read(counts: Mapping[str, Any]) -> Usage:
    iterations = objects_in(counts.get("iterations"))
    parts = [counts, *(one for one in iterations if one.get("type") == _ON_TOP)]
    thought = sum(inner_count(part, "output_tokens_details", "thinking_tokens") for part in parts)
    output = sum(required(part, "output_tokens") for part in parts)
    if thought > output:
        raise WrongCount
    return Usage(
        input=sum(required(part, "input_tokens") for part in parts),
        cache_read=sum(count(part, "cache_read_input_tokens") or 0 for part in parts),
        cache_write=sum(count(part, "cache_creation_input_tokens") or 0 for part in parts),
        output=output - thought,
        reasoning=thought,
        hour_cache=any(inner_count(part, "cache_creation", _FOR_AN_HOUR) for part in parts),
        unpriced=any(one.get("type") not in (_COUNTED, _ON_TOP) for one in iterations),
        searches=inner_count(counts, "server_tool_use", "web_search_requests"),
    )

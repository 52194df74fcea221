"""Whether a provider has anything left of its rate limits, read from the headers of an answer.

Invariant: pure; what cannot be understood says nothing. Dates are compared with the answer's own
``Date`` before any clock of ours. This module does not know what the answer was.
"""

import re
from collections.abc import Mapping
from datetime import datetime

from turnout.providers.waiting import LONGEST_WAIT_S, date_s, number, reset_s, until_s

_LIMITS = (
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    *(
        (f"x-ratelimit-remaining-{what}", f"x-ratelimit-reset-{what}")
        for what in ("requests", "tokens")
    ),
    *(
        (f"anthropic-ratelimit-{what}-remaining", f"anthropic-ratelimit-{what}-reset")
        for what in ("requests", "tokens", "input-tokens", "output-tokens")
    ),
)
_REMAINING = frozenset(name for name, _ in _LIMITS)
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(d|h|ms|m|s|us|µs|ns)")
_UNITS_S = {
    "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6,
    "ns": 1e-9,
}  # fmt: skip


def spent_for_s(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds until a limit of which nothing is left is reset; 0 where something is left of all.

    None where no header tells. Reads OpenAI's ``x-ratelimit-remaining-*`` with ``-reset-*`` (Go's
    durations such as ``6m0s``), Anthropic's ``anthropic-ratelimit-*-remaining`` with ``-reset``
    (RFC 3339), and both without a name; the longest counts. ``now`` is in seconds since the epoch.
    More than a day counts as a day; a reset that cannot be understood as no time at all.
    """
    if _REMAINING.isdisjoint(headers):
        return None
    told = [
        (left, reset)
        for name, reset in _LIMITS
        if name in headers and (left := number(headers[name])) is not None
    ]
    if not told:
        return None
    spent = [headers.get(reset, "").strip() for left, reset in told if left <= 0]
    here = (date_s(headers.get("date")) or now) if spent else None
    waits = [wait_s for text in spent if (wait_s := _reset(text, here)) is not None]
    return min(max([0.0, *waits]), LONGEST_WAIT_S)


def _reset(text: str, here: float | None) -> float | None:
    plain = number(text)
    if plain is not None:
        return reset_s(plain, here)
    parts = _PART.findall(text)
    if parts and "".join(map("".join, parts)) == text:
        return sum(float(amount) * _UNITS_S[unit] for amount, unit in parts)
    return until_s(_moment(text), here)


def _moment(text: str) -> float | None:
    """Seconds since the epoch of a date by RFC 3339; one without an offset is nobody's."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.timestamp()

"""How long a provider asks to wait, read from the headers of its answer.

Invariant: pure; dates are compared with the answer's own ``Date`` before any clock of ours.
This module does not know what the answer was.
"""

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

LONGEST_WAIT_S = 86_400.0

_EPOCH_S = 1e9
_EPOCH_MS = 1e12


def retry_after_s(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds to wait, or None where no header says so in a way that can be understood.

    Reads ``retry-after-ms``, ``retry-after`` (seconds, decimals or an HTTP date, RFC 9110 section
    10.2.3) and ``x-ratelimit-reset`` (unix seconds or milliseconds, or seconds from now), in this
    order. ``now`` is in seconds since the epoch. More than a day counts as a day.
    """
    here = date_s(headers.get("date")) or now
    found = number(headers.get("retry-after-ms"), scale=1e-3)
    if found is None:
        found = number(headers.get("retry-after"))
    if found is None:
        found = until_s(date_s(headers.get("retry-after")), here)
    if found is None:
        found = reset_s(number(headers.get("x-ratelimit-reset")), here)
    return None if found is None else min(max(found, 0.0), LONGEST_WAIT_S)


def number(text: str | None, scale: float = 1.0) -> float | None:
    """The finite number that a header is, times ``scale``."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value * scale if math.isfinite(value) else None


def date_s(text: str | None) -> float | None:
    """Seconds since the epoch of an HTTP date."""
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except (ValueError, OverflowError):
        return None


def until_s(moment: float | None, here: float | None) -> float | None:
    """From ``here`` to a moment, where both are known."""
    return None if moment is None or here is None else moment - here


def reset_s(value: float | None, here: float | None) -> float | None:
    """Seconds from ``here``, given as such or as unix seconds or milliseconds."""
    if value is None or value < _EPOCH_S:
        return value
    return until_s(value / 1e3 if value >= _EPOCH_MS else value, here)

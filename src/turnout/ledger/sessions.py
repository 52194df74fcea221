"""What a session's last turn left in a provider's cache, which another model cannot use.

Invariant: a bounded number of sessions is remembered, the latest ones. This module does not know
what a cache saves.
"""

from collections import OrderedDict

CACHE_LIFE_MS = 300_000
MOST_SESSIONS = 10_000


class Sessions:
    """The last turn of each session: when, where, and how many prompt tokens it had."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, tuple[int, str, int]] = OrderedDict()

    def record_turn(self, session: str, at_ms: int, deployment: str, tokens: int) -> int:
        """Note a turn; the last one's prompt tokens that another model still has cached."""
        last_ms, last_deployment, last_tokens = self._last.pop(session, (0, "", 0))
        self._last[session] = at_ms, deployment, tokens
        if len(self._last) > MOST_SESSIONS:
            self._last.popitem(last=False)
        is_cached = 0 <= at_ms - last_ms <= CACHE_LIFE_MS
        return last_tokens if is_cached and deployment != last_deployment else 0

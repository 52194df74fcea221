"""How long each deployment takes to answer: the median of its latest answers.

This module does not know clocks, requests or policies.
"""

from collections import defaultdict, deque
from collections.abc import Mapping
from statistics import median

from turnout.core import Outcome

_REMEMBERED = 64


class Latencies:
    """The latencies of the latest answers; ``prior`` is expected before the first, in ms."""

    def __init__(self) -> None:
        self.prior: Mapping[str, float] = {}
        self.latest: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))

    def note(self, outcome: Outcome) -> None:
        """Note an answer's latency."""
        self.latest[outcome.route.deployment].append(outcome.latency_ms)

    def expected_ms(self) -> dict[str, float]:
        """The median in milliseconds of each deployment of which anything is known."""
        seen = {name: round(median(latest), 1) for name, latest in self.latest.items()}
        return {**self.prior, **seen}

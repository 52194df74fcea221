"""How long each deployment takes to answer: the median of its latest answers.

An answer counts for five minutes. A deployment that was too slow for a limit gets no calls that
could show that it is quick again, so it would otherwise be left out for good. This module does not
know requests or policies.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from statistics import median

from turnout.core import Outcome

_REMEMBERED = 64
_REMEMBERED_S = 300.0


class Latencies:
    """The latencies of the latest answers; ``prior`` is expected where there are none, in ms.

    ``latest`` has for each deployment when an answer came, on the ``clock``, and what it took.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.prior: Mapping[str, float] = {}
        self.latest: defaultdict[str, deque[tuple[float, float]]] = defaultdict(
            lambda: deque(maxlen=_REMEMBERED)
        )
        self._clock = clock

    def note(self, outcome: Outcome) -> None:
        """Note an answer's latency."""
        self.latest[outcome.route.deployment].append((self._clock(), outcome.latency_ms))

    def expected_ms(self) -> dict[str, float]:
        """The median in milliseconds of each deployment of which anything is known."""
        since = self._clock() - _REMEMBERED_S
        seen = {name: [ms for at, ms in kept if at > since] for name, kept in self.latest.items()}
        return {**self.prior, **{name: round(median(ms), 1) for name, ms in seen.items() if ms}}

"""How long things took, in buckets: what a request adds to them is one increment.

A histogram of the metrics library is three locks and a dozen calls for each value; this one
gives its sums to the library when that asks. It is for one process; several share the library's.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class LocalHistogram(Collector):
    """Seconds by one label; ``bounds`` are the buckets' upper ends, rising."""

    def __init__(self, name: str, help_text: str, label: str, bounds: Sequence[float]) -> None:
        self._name, self._help_text, self._label = name, help_text, label
        self._bounds = tuple(bounds)
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, label: str, seconds: float) -> None:
        """Add a value."""
        counts = self._counts.get(label)
        if counts is None:
            counts = self._counts[label] = [0] * (len(self._bounds) + 1)
            self._sums[label] = 0.0
        counts[bisect_left(self._bounds, seconds)] += 1
        self._sums[label] += seconds

    def collect(self) -> Iterator[Metric]:
        """What the library shows."""
        family = HistogramMetricFamily(self._name, self._help_text, labels=[self._label])
        names = [*map(str, map(float, self._bounds)), "+Inf"]
        for label, counts in self._counts.items():
            buckets = list(zip(names, map(float, accumulate(counts)), strict=True))
            family.add_metric([label], buckets, self._sums[label])
        yield family

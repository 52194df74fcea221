"""Prometheus metrics; label sets are bound once, so that a request costs a few increments.

Invariant: labels come from the configuration and from fixed sets, never from a request's text.
"""

import asyncio
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from turnout.core import Outcome
from turnout.core.money import PICO_PER_USD
from turnout.runtime import Walk

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

Note = Callable[[str, float], None]

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
# Room for about 1,700 series in each file, whose head says in four bytes how much of it is used.
_RESERVED_BYTES, _HEAD_BYTES = 256 * 1024, 8
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The gateway's own numbers."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge

        if _FOLDER in os.environ:
            _forget_the_dead()
            _reserve()
        to = self._registry = CollectorRegistry()

        def counter(name: str, says: str, *labels: str) -> Counter:
            return Counter(f"turnout_{name}", says, labels, registry=to)

        def gauge(
            name: str, says: str, *labels: str, of_all: Literal["livesum", "mostrecent"]
        ) -> Gauge:
            return Gauge(f"turnout_{name}", says, labels, registry=to, multiprocess_mode=of_all)

        self._requests = counter("requests", "Requests by path and status.", "path", "status")
        self._attempts = counter(
            "attempts", "Upstream calls by model and how they ended.", "model", "end"
        )
        self._tokens = counter("tokens", "Tokens by model.", "model", "kind")
        self._cost = counter("cost_usd", "Known cost in USD by model.", "model")
        self._blocked = counter(
            "blocked", "Requests and answers that the safety rule stopped.", "what"
        )
        self._retries = counter("retries", "Retries at the same deployment.", "model")
        self._fallbacks = counter("fallbacks", "Requests that a fallback answered.")
        self._unknown = counter("unknown_cost", "Calls whose cost is not known.", "model")
        self._refused = counter("refused", "Requests refused, by reason.", "code")
        self._hits = counter("cache_hits", "Requests answered from the exact cache.")
        self._cooling = gauge(
            "cooling",
            "Deployments that cannot be called now, as the scraped process sees it.",
            "deployment",
            of_all="mostrecent",
        )
        self._first = _times(to, "turnout_time_to_first_token_seconds", "By model.", "model")
        self._duration = _times(to, "turnout_request_seconds", "Whole requests.", "path")
        self._in_flight = gauge("requests_in_flight", "Requests in progress.", of_all="livesum")
        self._tasks = gauge(
            "tasks", "Tasks of the event loop at the time of the scrape.", of_all="livesum"
        )
        self._bound: dict[tuple[Any, ...], Any] = {}
        # What is counted but not yet told: nobody looks more often than a scrape does. A scrape of
        # another worker sees what is told, so that there each turn of the event loop tells its own.
        self._owed: defaultdict[tuple[Any, ...], float] = defaultdict(float)
        self._each_turn = _all_workers() is not None
        self._telling = False
        self._under_way = 0
        self._told: set[str] = set()  # deployments whose cooling was

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request ended; ``status`` 499 means that the caller left."""
        self._count(1, self._requests, path, str(status))
        self._duration(path, seconds)

    def call(self, outcome: Outcome) -> None:
        """Count what a call used and cost, whatever it was for."""
        model = outcome.route.model
        if outcome.cost_pico_usd is None:
            self._child(self._unknown, model).inc()
        end = outcome.error.kind if outcome.error else outcome.status
        self._count(1, self._attempts, model, end)
        self._count(outcome.usage.total_input, self._tokens, model, "input")
        self._count(outcome.usage.total_output, self._tokens, model, "output")
        if outcome.cost_pico_usd:
            self._count(outcome.cost_pico_usd / PICO_PER_USD, self._cost, model)
        if outcome.ttft_ms is not None:
            self._first(model, outcome.ttft_ms / 1e3)

    def walk(self, walk: Walk) -> None:
        """Count how a request came to its answer."""
        if walk.decision.blocked or walk.stopped:
            self._child(self._blocked, "answer" if walk.stopped else "request").inc()
        if len(walk.outcomes) > 1:
            tried: set[str] = set()
            for outcome in walk.outcomes:
                self._again(outcome, tried)

    def refused(self, code: str) -> None:
        """A request was refused; ``code`` is one of the gateway's own."""
        self._child(self._refused, code).inc()

    def hit(self) -> None:
        """A request was answered from the exact cache."""
        self._count(1, self._hits)

    def cooling(self, deployments: Mapping[str, bool]) -> None:
        """Show which deployments take no call now; removed ones are not counted."""
        for name in self._told - deployments.keys():
            self._child(self._cooling, name).set(False)
        for name, cools in deployments.items():
            self._child(self._cooling, name).set(cools)
        self._told |= deployments.keys()

    def _again(self, outcome: Outcome, tried: set[str]) -> None:
        """Counts a further try of a deployment, and an answer by another than the first."""
        name = outcome.route.deployment
        if not outcome.is_answer:
            return
        if name in tried:
            self._child(self._retries, outcome.route.model).inc()
        elif tried and outcome.status == "ok":
            self._fallbacks.inc()
        tried.add(name)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format, of all workers together."""
        from prometheus_client import generate_latest

        self._tell()
        if self._each_turn:
            _forget_the_dead()
        self._tasks.set(len(asyncio.all_tasks()))
        return generate_latest(_all_workers() or self._registry)

    def in_flight(self, change: int) -> None:
        """So many more (or fewer) requests are under way."""
        self._under_way += change
        if self._each_turn and not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _count(self, amount: float, metric: Any, *labels: str) -> None:
        """Counts for a request under way; the library is told at the latest when it ends."""
        self._owed[metric, *labels] += amount

    def _tell(self) -> None:
        self._telling = False
        owed, self._owed = self._owed, defaultdict(float)
        for key, amount in owed.items():
            self._child(*key).inc(amount)
        self._in_flight.set(self._under_way)

    def _child(self, metric: Any, *labels: str) -> Any:
        key = (metric, *labels)
        found = self._bound.get(key)
        if found is None:
            found = self._bound[key] = metric.labels(*labels) if labels else metric
        return found


def _times(to: "CollectorRegistry", name: str, about: str, label: str) -> Note:
    """A histogram by one label, as what notes a value in it."""
    if _all_workers() is None:
        from turnout.gateway.times import Times

        times = Times(name, about, label, _SECONDS)
        to.register(times)
        return times.note
    from prometheus_client import Histogram

    shared = Histogram(name, about, (label,), buckets=_SECONDS, registry=to)
    of = cache(shared.labels)
    return lambda value, seconds: of(value).observe(seconds)


@cache
def _all_workers() -> "CollectorRegistry | None":
    if _FOLDER not in os.environ:
        return None
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def _reserve() -> None:
    """Takes the space for this worker's files at once.

    The library maps files with holes, and to fill one on a full disk ends the process.
    """
    for kind in ("counter", "histogram", "gauge_livesum", "gauge_mostrecent"):
        file = Path(os.environ[_FOLDER], f"{kind}_{os.getpid()}.db")
        if not file.exists():
            file.write_bytes(bytes(_RESERVED_BYTES))


def _forget_the_dead() -> None:
    """Drops what ended workers had under way, and the space that they did not use."""
    for file in Path(os.environ[_FOLDER]).glob("*_*.db"):
        try:
            os.kill(int(file.stem.rpartition("_")[2]), 0)
        except ProcessLookupError:
            if file.name.startswith("gauge_live"):
                file.unlink(missing_ok=True)
            else:
                used_bytes = int.from_bytes(file.read_bytes()[:4], sys.byteorder)
                os.truncate(file, max(used_bytes, _HEAD_BYTES))

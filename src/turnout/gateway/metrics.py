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

from msgspec import Struct

from turnout.core import Outcome
from turnout.core.money import PICO_PER_USD
from turnout.runtime import Walk

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

Observe = Callable[[str, float], None]

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
# Room for about 1,700 series in each file, whose head says in four bytes how much of it is used.
_RESERVED_BYTES, _HEAD_BYTES = 256 * 1024, 8
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class _Sums(Struct):
    """What calls to a model that ended alike took; ``unknown`` is how many have no known cost."""

    calls: int = 0
    input: int = 0
    output: int = 0
    pico_usd: int = 0
    unknown: int = 0


class Metrics:
    """The gateway's own numbers; ``under_way`` requests have begun and not ended."""

    def __init__(self) -> None:
        self.under_way = 0
        from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics

        # The text format has no place for when a series began; it would be a series of its own.
        disable_created_metrics()  # type: ignore[no-untyped-call]

        if _FOLDER in os.environ:
            _clear_dead_workers()
            _reserve_space()
        registry = self._registry = CollectorRegistry()

        def counter(name: str, help_text: str, *labels: str) -> Counter:
            return Counter(f"turnout_{name}", help_text, labels, registry=registry)

        def gauge(
            name: str, help_text: str, *labels: str, mode: Literal["livesum", "mostrecent"]
        ) -> Gauge:
            return Gauge(
                f"turnout_{name}", help_text, labels, registry=registry, multiprocess_mode=mode
            )

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
            mode="mostrecent",
        )
        self._ttft = _histogram(
            registry, "turnout_time_to_first_token_seconds", "By model.", "model"
        )
        self._duration = _histogram(registry, "turnout_request_seconds", "Whole requests.", "path")
        self._in_flight = gauge("requests_in_flight", "Requests in progress.", mode="livesum")
        self._tasks = gauge(
            "tasks", "Tasks of the event loop at the time of the scrape.", mode="livesum"
        )
        self._bound: dict[tuple[Any, ...], Any] = {}
        # Counts that the library does not have yet; a scrape of this process flushes them. A scrape
        # of another worker sees only what was flushed: with workers, each loop turn flushes.
        self._ended: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._calls: defaultdict[tuple[str, str], _Sums] = defaultdict(_Sums)
        self._flushes_each_turn = _shared_registry() is not None
        self._is_flush_scheduled = False
        self._shown: set[str] = set()  # deployments whose cooling the gauge has

    def request_began(self) -> None:
        """A request is under way."""
        self.under_way += 1
        self._flush_soon()

    def request_ended(self, path: str, status: int, seconds: float) -> None:
        """``status`` 499 means that the caller left."""
        self.under_way -= 1
        self._ended[path, status] += 1
        self._duration(path, seconds)
        self._flush_soon()

    def call(self, outcome: Outcome) -> None:
        """Count what a call used and cost, whatever it was for."""
        model = outcome.route.model
        sums = self._calls[model, outcome.error.kind if outcome.error else outcome.status]
        sums.calls += 1
        sums.input += outcome.usage.total_input
        sums.output += outcome.usage.total_output
        if outcome.cost_pico_usd is None:
            sums.unknown += 1
        else:
            sums.pico_usd += outcome.cost_pico_usd
        if outcome.ttft_ms is not None:
            self._ttft(model, outcome.ttft_ms / 1e3)

    def walk(self, walk: Walk) -> None:
        """Count how a request came to its answer."""
        if walk.decision.blocked or walk.stopped:
            self._child(self._blocked, "answer" if walk.stopped else "request").inc()
        if len(walk.outcomes) > 1:
            tried: set[str] = set()
            for outcome in walk.outcomes:
                self._count_try(outcome, tried)

    def refused(self, code: str) -> None:
        """A request was refused; ``code`` is one of the gateway's own."""
        self._child(self._refused, code).inc()

    def cache_hit(self) -> None:
        """A request was answered from the exact cache."""
        self._hits.inc()

    def cooling(self, deployments: Mapping[str, bool]) -> None:
        """Show which deployments take no call now; removed ones are not counted."""
        for name in self._shown - deployments.keys():
            self._child(self._cooling, name).set(False)
        for name, cools in deployments.items():
            self._child(self._cooling, name).set(cools)
        self._shown |= deployments.keys()

    def _count_try(self, outcome: Outcome, tried: set[str]) -> None:
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

        self._flush()
        if self._flushes_each_turn:
            _clear_dead_workers()
        self._tasks.set(len(asyncio.all_tasks()))
        return generate_latest(_shared_registry() or self._registry)

    def _flush_soon(self) -> None:
        if self._flushes_each_turn and not self._is_flush_scheduled:
            self._is_flush_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_scheduled = False
        ended, self._ended = self._ended, defaultdict(int)
        for (path, status), requests in ended.items():
            self._child(self._requests, path, str(status)).inc(requests)
        calls, self._calls = self._calls, defaultdict(_Sums)
        for (model, end), sums in calls.items():
            self._child(self._attempts, model, end).inc(sums.calls)
            self._child(self._tokens, model, "input").inc(sums.input)
            self._child(self._tokens, model, "output").inc(sums.output)
            if sums.pico_usd:
                self._child(self._cost, model).inc(sums.pico_usd / PICO_PER_USD)
            if sums.unknown:
                self._child(self._unknown, model).inc(sums.unknown)
        self._in_flight.set(self.under_way)

    def _child(self, metric: Any, *labels: str) -> Any:
        key = (metric, *labels)
        found = self._bound.get(key)
        if found is None:
            found = self._bound[key] = metric.labels(*labels) if labels else metric
        return found


def _histogram(registry: "CollectorRegistry", name: str, help_text: str, label: str) -> Observe:
    """A function that adds a value to a histogram by one label."""
    if _shared_registry() is None:
        from turnout.gateway.local_histogram import LocalHistogram

        histogram = LocalHistogram(name, help_text, label, _SECONDS)
        registry.register(histogram)
        return histogram.observe
    from prometheus_client import Histogram

    shared = Histogram(name, help_text, (label,), buckets=_SECONDS, registry=registry)
    child = cache(shared.labels)
    return lambda value, seconds: child(value).observe(seconds)


@cache
def _shared_registry() -> "CollectorRegistry | None":
    if _FOLDER not in os.environ:
        return None
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def _reserve_space() -> None:
    """Takes the space for this worker's files at once.

    The library maps files with holes, and to fill one on a full disk ends the process.
    """
    for kind in ("counter", "histogram", "gauge_livesum", "gauge_mostrecent"):
        file = Path(os.environ[_FOLDER], f"{kind}_{os.getpid()}.db")
        if not file.exists():
            # Under another name first: other workers read files, which must not be empty.
            new = file.with_suffix(".new")
            new.write_bytes(bytes(_RESERVED_BYTES))
            new.rename(file)


def _clear_dead_workers() -> None:
    """Drops what ended workers had under way, and the space that they did not use."""
    for file in Path(os.environ[_FOLDER]).glob("*_*.db"):
        try:
            os.kill(int(file.stem.rpartition("_")[2]), 0)
        except (ProcessLookupError, PermissionError):  # the number may be another user's by now
            if file.name.startswith("gauge_live"):
                file.unlink(missing_ok=True)
            else:
                used_bytes = int.from_bytes(file.read_bytes()[:4], sys.byteorder)
                os.truncate(file, max(used_bytes, _HEAD_BYTES))

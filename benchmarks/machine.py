"""What every benchmark prints first: the machine and the versions; and how figures are measured."""

import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from time import perf_counter_ns


def describe(*packages: str) -> dict[str, str]:
    """Processor, kernel, Python, the versions of ``packages``, and how fast all that is just now.

    ``pace`` is the time of a fixed loop: on a shared machine it shows whether the machine is slow.
    """
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    cpu = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "unknown")
    cores = sum(line.startswith("processor") for line in lines)
    return {
        "cpu": f"{cpu}, {cores} cores",
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "pace": f"{_pace_ms():.1f} ms for a fixed loop of 100,000 steps",
        **{name: version(name) for name in packages},
    }


def print_machine(*packages: str) -> None:
    """The description, a line each."""
    for name, value in describe(*packages).items():
        print(f"{name:>12}  {value}")


def _pace_ms() -> float:
    def loop() -> None:
        total = 0
        for step in range(100_000):
            total += step & 7

    return statistics.median(timed(loop, rounds=15, warm_up=3)) / 1e3


def timed(work: Callable[[], object], *, rounds: int, warm_up: int = 10) -> list[float]:
    """Microseconds of each of ``rounds`` runs, after some that are not counted."""
    for _ in range(warm_up):
        work()
    found = []
    for _ in range(rounds):
        started = perf_counter_ns()
        work()
        found.append((perf_counter_ns() - started) / 1e3)
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, quartiles, 95th and 99th percentile."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {
        "p25": cuts[24],
        "p50": statistics.median(values),
        "p75": cuts[74],
        "p95": cuts[94],
        "p99": cuts[98],
    }

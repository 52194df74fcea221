"""Runs one load against a gateway and reads the resources that its processes used.

CPU time is the kernel's count, ended threads included, so that a slow load generator does not
distort it; a machine slowed by its neighbours does.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.gateway.load import Spec

TICK = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text(encoding="ascii").split():
            found += family(int(child))
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """User and system seconds of the processes so far."""
    texts = (Path(f"/proc/{pid}/stat").read_text(encoding="ascii") for pid in pids)
    fields = (text.rpartition(")")[2].split() for text in texts)
    return sum(int(f[11]) + int(f[12]) for f in fields) / TICK


def rss_mb(pids: Iterable[int]) -> float:
    """Resident memory of the processes, shared pages counted once a process."""
    texts = (Path(f"/proc/{pid}/status").read_text(encoding="ascii") for pid in pids)
    return sum(int(text.partition("VmRSS:")[2].split()[0]) for text in texts) / 1024


def pss_mb(pids: Iterable[int]) -> float:
    """Resident memory of the processes, shared pages counted once in all."""
    texts = (Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii") for pid in pids)
    return sum(int(text.partition("Pss:")[2].split()[0]) for text in texts) / 1024


@contextmanager
def process(
    module: str,
    *arguments: str,
    core: int | None = None,
    under: Sequence[str] = (),
    **more: Any,
) -> Iterator[subprocess.Popen[str]]:
    """A Python module as a process, run by the command ``under``; it ends with the context."""
    command = [*pinned(core), *under, sys.executable, "-m", module, *arguments]
    running = subprocess.Popen(command, text=True, **more)
    try:
        yield running
    finally:
        running.terminate()
        running.wait()


def pinned(core: int | None) -> list[str]:
    """The prefix that keeps a command on one core."""
    return [] if core is None else ["taskset", "-c", str(core)]


def run(spec: Spec, pid: int | None, core: int | None = None) -> dict[str, Any]:
    """One load's figures; with ``pid`` also that process family's CPU per request and event."""
    pids = family(pid) if pid else []
    before = cpu_s(pids)
    command = [*pinned(core), sys.executable, "-m", "benchmarks.gateway.load"]
    done = subprocess.run(
        [*command, json.dumps(asdict(spec))], capture_output=True, check=True, text=True
    )
    used = cpu_s(pids) - before
    found: dict[str, Any] = json.loads(done.stdout)
    found["rps"] = found["answers"] / found["seconds"]
    found["events_s"] = found["events"] / found["seconds"]
    if pids:
        found["cpu_us"] = used / (found["answers"] or 1) * 1e6
        if found["events"]:
            found["cpu_us_event"] = used / found["events"] * 1e6
    return found

"""Latency, throughput, load time and memory of the local classifier, in a process of its own.

Each figure is measured twice: by the clock, and by this process's CPU time, which is what a machine
without other work would show.
"""

import asyncio
import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.classify.data import OWN, user_message
from turnout.classifiers import LocalClassifier
from turnout.core import Prediction
from turnout.training.rows import load

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_PROMPTS = 1500
_LONG = 40


def speed(data: Sequence[Path]) -> dict[str, Any]:
    """The figures, from a child process on one thread."""
    command = [sys.executable, "-m", "benchmarks.classify.speed", *map(str, data)]
    done = subprocess.run(
        command, env={**os.environ, **_ONE_THREAD}, stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def figures(data: Sequence[Path]) -> dict[str, Any]:
    """The figures of this process."""
    out, classifier = _load_figures()
    texts = _texts(data)
    out["prompts"] = len(texts)
    verdicts = classifier.begin_batch([user_message(text) for text in texts])
    settled = [isinstance(one, Prediction) for one in verdicts]
    out["settled by the first stage"] = float(np.mean(settled))
    gc.collect()
    taken = [_predict_ms(classifier, text) for text in texts]
    out |= _quantiles("up to 2,000 characters", taken, (50, 95, 99))
    long = {
        size: ["".join([*texts[i:], *texts])[:size] for i in range(0, 5 * _LONG, 5)]
        for size in (10_000, 100_000)
    }
    # Equal parts of two of them are remembered, so the first time needs a classifier new to both.
    again = {
        size: [_repeated_predict_ms(classifier, text) for text in some]
        for size, some in long.items()
    }
    _predict_in_batches(classifier, texts)
    out["resident memory, peak until here (MB)"] = _peak_mb()
    out |= _batch_figures(texts)
    for size, some in long.items():
        out |= _quantiles(
            f"{size:,} characters",
            [_predict_ms(_warmed_classifier(texts), text) for text in some],
            (50, 99),
        )
        out |= _quantiles(f"{size:,} characters, read before", again[size], (50, 99))
    return out | asyncio.run(_event_loop_delays(long[100_000][0]))


def _load_figures() -> tuple[dict[str, Any], LocalClassifier]:
    started, used = time.perf_counter(), time.process_time()
    classifier = LocalClassifier.load()
    first = time.perf_counter() - started
    classifier.warm()
    return {
        "load, first stage (s)": first,
        "load, both stages (s)": time.perf_counter() - started,
        "load, both stages (s of processor)": time.process_time() - used,
        "resident memory, both stages loaded (MB)": _resident_mb(),
        "resident memory, peak while loading (MB)": _peak_mb(),
    }, classifier


def _peak_mb() -> float:
    """The memory of this process; the system's count of resource use begins at its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def _texts(data: Sequence[Path]) -> list[str]:
    sources = data or [OWN / f"{name}.jsonl" for name in ("english", "european", "asian")]
    texts = [row.text for row in load(list(sources)) if row.is_prompt and len(row.text) <= 2000]
    return texts[:: max(1, len(texts) // _PROMPTS)]


def _predict_ms(classifier: LocalClassifier, text: str) -> tuple[float, float]:
    started, used = time.perf_counter(), time.process_time()
    classifier.predict(user_message(text))
    return 1e3 * (time.perf_counter() - started), 1e3 * (time.process_time() - used)


def _repeated_predict_ms(classifier: LocalClassifier, text: str) -> tuple[float, float]:
    _predict_ms(classifier, text)
    return _predict_ms(classifier, text)


def _warmed_classifier(texts: Sequence[str]) -> LocalClassifier:
    """A classifier that has read texts, but none of those that are measured."""
    classifier = LocalClassifier.load()
    classifier.warm()
    backwards = " ".join("".join(texts).split()[::-1])
    for size in (300, 3000):
        classifier.predict(user_message(backwards[:size]))
    return classifier


def _quantiles(
    name: str, taken: Sequence[tuple[float, float]], percents: Sequence[int]
) -> dict[str, float]:
    clock, used = np.array(taken).T
    return {
        key: float(np.percentile(values, q))
        for q in percents
        for key, values in (
            (f"{name}, p{q} (ms)", clock),
            (f"{name}, p{q} (ms of processor)", used),
        )
    }


def _batch_figures(texts: Sequence[str]) -> dict[str, float]:
    clock, used = min(
        _time_s(partial(_predict_in_batches, _warmed_classifier(texts), texts)) for _ in range(3)
    )
    return {
        "batch, prompts a second": len(texts) / clock,
        "batch, prompts a second of processor": len(texts) / used,
    }


def _predict_in_batches(classifier: LocalClassifier, texts: Sequence[str]) -> None:
    for start in range(0, len(texts), 128):
        classifier.predict_batch([user_message(text) for text in texts[start : start + 128]])


def _time_s(work: Callable[[], None]) -> tuple[float, float]:
    started, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - used


async def _event_loop_delays(text: str) -> dict[str, float]:
    """How late a timer of one millisecond comes while a long prompt is decided, and while none is.

    The second shows what the machine itself adds.
    """
    from turnout import Router
    from turnout.runtime import NoRecorder

    router = Router.from_env(environ={}, recorder=NoRecorder())
    router.prepare()
    await router.aroute(text)
    busy = await _longest_delay_ms(asyncio.create_task(router.aroute(text)))
    idle = await _longest_delay_ms(asyncio.create_task(asyncio.sleep(0.3)))
    await router.aclose()
    return {
        "event loop: longest wait, 100,000 characters (ms)": busy,
        "event loop: longest wait, nothing to do (ms)": idle,
    }


async def _longest_delay_ms(running: "asyncio.Task[Any]") -> float:
    worst = 0.0
    while not running.done():
        started = time.perf_counter()
        await asyncio.sleep(0.001)
        worst = max(worst, time.perf_counter() - started - 0.001)
    await running
    return 1e3 * worst


if __name__ == "__main__":
    print(json.dumps(figures([Path(name) for name in sys.argv[1:]])))

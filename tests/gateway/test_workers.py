"""Several workers behind one supervisor: they start, reload and are replaced without a gap."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.runtime.world import PATIENT, config
from turnout.testing import FaultyUpstream, Served, serving


def test_a_reload_while_workers_start_ends_none() -> None:
    """SIGHUP before a worker can reload waits for it: both serve, and each takes it in."""
    with FaultyUpstream() as upstream:
        settings = config(upstream, ledger="off", timeouts=PATIENT)
        with serving(settings, options=["--workers", "2"]) as served:
            for _ in range(10):
                served.process.send_signal(signal.SIGHUP)
                time.sleep(0.05)
            first = _workers(served)
            _until(lambda: served.log().count("configuration reloaded") >= 2)
            assert len(_workers(served)) == 2
            assert first <= _workers(served)
            assert served.process.poll() is None


def test_a_worker_that_dies_is_replaced() -> None:
    """Killed after it has served for a while, it comes back; the other one goes on."""
    with FaultyUpstream() as upstream:
        settings = config(upstream, ledger="off", timeouts=PATIENT)
        with serving(settings, options=["--workers", "2"]) as served:
            _until(lambda: len(_workers(served)) == 2)
            time.sleep(2.5)
            gone = min(_workers(served))
            os.kill(gone, signal.SIGKILL)
            _until(lambda: len(_workers(served)) == 2 and gone not in _workers(served))


def _workers(served: Served) -> set[int]:
    pid = served.process.pid
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return {int(child) for child in text.split()}


def _until(done: Callable[[], bool]) -> None:
    """Waits until it is so. Raises AssertionError."""
    until = time.monotonic() + 30
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)

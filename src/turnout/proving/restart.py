"""The proof of restarts: under streams, without a caller noticing.

Every other restart replaces the workers one by one (SIGUSR2); the others start a whole new gateway
that takes the socket over from the old one. All the while a fixed number of callers stream, each
request on a connection of its own.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from turnout.proving.callers import TIMEOUT_S, Callers, settings
from turnout.proving.processes import wait_until
from turnout.proving.report import Check, Trial, check_of
from turnout.testing import FaultyUpstream, Served, serving

_WORKERS = 2


def restarts(times: int, count: int, trial: Trial, *, abrupt: bool = False) -> Check:
    """``times`` restarts under ``count`` streams; ``abrupt`` ends the old ones with SIGKILL."""
    return asyncio.run(_restarts(times, count, trial, abrupt=abrupt))


async def _restarts(times: int, count: int, trial: Trial, *, abrupt: bool) -> Check:
    with ExitStack() as stack:
        upstream = stack.enter_context(FaultyUpstream())
        options = ["--workers", str(_WORKERS), "--log-level", "WARNING"]
        served = await asyncio.to_thread(
            stack.enter_context, serving(settings(upstream), options=options)
        )
        gateway = _ServingGateway(served, options)
        stack.callback(gateway.stop)
        callers = Callers(served.port, count, "slow")
        await asyncio.sleep(2)
        began_s = time.monotonic()
        for number in range(times):
            restart = gateway.replace_workers if number % 2 == 0 else gateway.take_over
            await asyncio.to_thread(restart, abrupt=abrupt)
            upstream.requests.clear()
            trial.progress(number + 1)
        took_s = time.monotonic() - began_s
        await callers.stop()
    check = check_of(
        "restarts", dict(callers.failures), fix="raise --times", restarts=times, streams=count,
        acknowledged=callers.answered, seconds=round(took_s),
    )  # fmt: skip
    worst = ", ".join(f"{why} {n}" for why, n in callers.reasons.most_common(3))
    return replace(check, detail=check.detail or worst)


class _ServingGateway:
    """The gateway that serves now, and how the next one replaces it."""

    def __init__(self, served: Served, options: list[str]) -> None:
        self._served = served
        self._options = options
        self._process = served.process

    def replace_workers(self, *, abrupt: bool) -> None:
        """Replaces the workers one by one."""
        before = set(_children(self._process.pid))
        if abrupt:
            for worker in before:
                os.kill(worker, signal.SIGKILL)
        else:
            self._process.send_signal(signal.SIGUSR2)
        wait_until(
            lambda: not before & set(_children(self._process.pid)),
            "the workers to be replaced",
            TIMEOUT_S,
        )

    def take_over(self, *, abrupt: bool) -> None:
        """Starts a whole gateway, which takes over from the current one."""
        old = self._process
        place = str(self._served.config_path.parent)
        command = [sys.executable, "-m", "turnout", "serve", "--take-over", *self._options]
        command += ["--config", str(self._served.config_path), "--port", str(self._served.port)]
        if abrupt:
            for pid in (*_children(old.pid), old.pid):
                os.kill(pid, signal.SIGKILL)
            command.remove("--take-over")
        with self._served.log_path.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                stdout=out,
                stderr=out,
                env={**os.environ, "TURNOUT_STATE_DIR": place, "XDG_DATA_HOME": place},
            )
        wait_until(lambda: old.poll() is not None, "the old gateway to end", TIMEOUT_S)

    def stop(self) -> None:
        """Ends the last gateway; the first one is ended by its starter."""
        if self._process is not self._served.process:
            self._process.terminate()
            self._process.wait()


def _children(pid: int) -> list[int]:
    """The workers of a supervisor."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(child) for child in text.split()]

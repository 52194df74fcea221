"""Several worker processes on one listening socket.

Invariant: the socket is held here, so that a worker's end loses no waiting connection; a worker
that dies is replaced. This module does not know what a worker does.
"""

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from types import FrameType

_LEAST_LIFE_S = 2.0
_LOOK_EVERY_S = 0.1


class Workers:
    """Keeps ``count`` processes of ``command`` running, each with the descriptors ``keep``.

    SIGTERM and SIGINT end them all, gracefully; SIGHUP is passed on; SIGUSR2 replaces them one by
    one, each once its successor has had ``warm_s`` seconds to start.
    """

    def __init__(
        self, command: Sequence[str], count: int, keep: Sequence[int], *, warm_s: float = 3.0
    ) -> None:
        self._command = list(command)
        self._count = count
        self._keep = tuple(keep)
        self._warm_s = warm_s
        self._running: list[tuple[subprocess.Popen[bytes], float]] = []
        self._stopping = False
        self._replacing = False

    def run(self) -> int:
        """Runs until told to stop; the exit code."""
        for number, handler in self._handlers().items():
            signal.signal(number, handler)
        self._running = [self._start() for _ in range(self._count)]
        while not self._stopping:
            time.sleep(_LOOK_EVERY_S)
            if self._replacing:
                self._replacing = False
                self._replace_all()
            self._revive()
        for process, _ in self._running:
            process.send_signal(signal.SIGTERM)
        return max((process.wait() for process, _ in self._running), default=0)

    def _handlers(self) -> "dict[signal.Signals, Callable[[int, FrameType | None], None]]":
        def stop(number: int, frame: FrameType | None) -> None:
            del number, frame
            self._stopping = True

        def reload(number: int, frame: FrameType | None) -> None:
            del number, frame
            for process, _ in self._running:
                process.send_signal(signal.SIGHUP)

        def replace(number: int, frame: FrameType | None) -> None:
            del number, frame
            self._replacing = True

        return {
            signal.SIGTERM: stop,
            signal.SIGINT: stop,
            signal.SIGHUP: reload,
            signal.SIGUSR2: replace,
        }

    def _start(self) -> tuple[subprocess.Popen[bytes], float]:
        process = subprocess.Popen(self._command, pass_fds=self._keep)  # noqa: S603 -- our own
        return process, time.monotonic()

    def _replace_all(self) -> None:
        for place, (old, _) in enumerate(list(self._running)):
            self._running[place] = self._start()
            time.sleep(self._warm_s)
            old.send_signal(signal.SIGTERM)

    def _revive(self) -> None:
        for place, (process, started) in enumerate(self._running):
            if process.poll() is None:
                continue
            if time.monotonic() - started < _LEAST_LIFE_S:
                # It cannot even start: its own message says why.
                self._stopping = True
                return
            self._running[place] = self._start()

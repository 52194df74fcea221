"""Several worker processes on one listening socket.

Invariant: the socket is held here, so that a worker's end loses no waiting connection; a worker
that dies is replaced. This module does not know what a worker does.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from types import FrameType

_LEAST_LIFE_S = 2.0
_LOOK_EVERY_S = 0.1


class Workers:
    """Keeps ``count`` processes of ``command`` running, each with the descriptors ``keep``.

    Each is given ``--ready-fd`` and writes there when it serves. SIGTERM and SIGINT end them all,
    gracefully; SIGHUP is passed on; SIGUSR2 replaces them one by one, each once its successor
    serves, for which it has ``start_s`` seconds.
    """

    def __init__(
        self, command: Sequence[str], count: int, keep: Sequence[int], *, start_s: float = 60.0
    ) -> None:
        self._command = list(command)
        self._count = count
        self._keep = tuple(keep)
        self._start_s = start_s
        self._running: list[tuple[subprocess.Popen[bytes], float]] = []
        self._ending: list[subprocess.Popen[bytes]] = []
        self._stopping = False
        self._replacing = False

    def run(self, serving: Callable[[], object], ready: Callable[[], object]) -> int:
        """Runs until told to stop; the exit code.

        Calls ``serving`` once the first one serves and ``ready`` once all do. The others start
        after the first, so that what hinders them all is said once.
        """
        for number, handler in self._handlers().items():
            signal.signal(number, handler)
        if self._serve_more(1):
            serving()
            if self._serve_more(self._count - 1):
                ready()
        else:
            self._stopping = True
        while not self._stopping:
            time.sleep(_LOOK_EVERY_S)
            if self._replacing:
                self._replacing = False
                self._replace_all()
            self._ending = [process for process in self._ending if process.poll() is None]
            self._revive()
        for process, _ in self._running:
            process.send_signal(signal.SIGTERM)
        for process in self._ending:
            process.wait()
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

    def _serve_more(self, count: int) -> bool:
        """Starts so many and waits for them; whether all serve."""
        started = [self._start() for _ in range(count)]
        self._running += [(process, time.monotonic()) for process, _ in started]
        serving = [self._serves(*one) for one in started]
        return all(serving)

    def _start(self) -> tuple[subprocess.Popen[bytes], int]:
        """A process, and where it says that it serves."""
        told, tells = os.pipe()
        command = [*self._command, "--ready-fd", str(tells)]
        # A process keeps the mask it is started with: until it can reload, a SIGHUP waits for it.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        process = subprocess.Popen(command, pass_fds=(*self._keep, tells))  # noqa: S603 -- our own
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(tells)
        return process, told

    def _serves(self, process: subprocess.Popen[bytes], told: int) -> bool:
        """Waits until the process serves; whether it does."""
        try:
            waiting, _, _ = select.select([told], [], [], self._start_s)
            return bool(waiting and os.read(told, 1)) and process.poll() is None
        finally:
            os.close(told)

    def _replace_all(self) -> None:
        for place, (old, _) in enumerate(list(self._running)):
            process, told = self._start()
            if not self._serves(process, told):
                # The old one serves on: what cannot start replaces nothing.
                process.terminate()
                return
            self._running[place] = (process, time.monotonic())
            old.send_signal(signal.SIGTERM)
            self._ending.append(old)

    def _revive(self) -> None:
        for place, (process, started) in enumerate(self._running):
            if process.poll() is None:
                continue
            if time.monotonic() - started < _LEAST_LIFE_S:
                # It cannot even start: its own message says why.
                self._stopping = True
                return
            again, told = self._start()
            os.close(told)
            self._running[place] = (again, time.monotonic())

"""Several worker processes on one listening socket.

Invariant: the socket is held here, so that a worker's end loses no waiting connection; a worker
that ends is replaced, and none outlives this process. This module does not know what a worker does.
"""

import logging
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from turnout.gateway.siblings import SERVES, Kept, Lines, put

_LOG = logging.getLogger("turnout.gateway")
_LOOK_EVERY_S = 0.1
_START_S = 60.0
# Who runs for so long has not failed at its start; who does not is replaced later each time.
_STEADY_S = 10.0
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_PIECE_BYTES = 65_536


class Workers:
    """Keeps ``count`` processes of ``command`` running, each with the descriptors ``keep``.

    Each is given ``--parent-fd``, a socket: it says there that it serves, within a minute, and what
    the others are to know, and ends when nothing holds the other end any more. SIGTERM and SIGINT
    end them all, gracefully; SIGHUP is passed on; SIGUSR2 replaces them one by one, each once its
    successor serves.
    """

    def __init__(self, command: Sequence[str], count: int, keep: Sequence[int]) -> None:
        self._command = list(command)
        self._keep = tuple(keep)
        self._places = [_Place() for _ in range(count)]
        self._ending: list[_Worker] = []
        self._kept = Kept()
        self._stopping = False
        self._replacing = False

    def run(self, serving: Callable[[], object], ready: Callable[[], object]) -> int:
        """Runs until told to stop; the exit code.

        Calls ``serving`` once the first one serves and ``ready`` once all do. The others start
        after the first: what hinders them all is said once, and ends the run.
        """
        for number, handler in self._handlers().items():
            signal.signal(number, handler)
        first = self._places[0].worker = self._start(alone=True)
        if not self._waited(first):
            return 0 if self._stopping else first.end()
        serving()
        awaited = True
        while not self._stopping:
            self._tend()
            if awaited and all(place.serves for place in self._places):
                awaited = False
                ready()
            if self._replacing:
                self._replacing = False
                self._replace_all()
            self._await_word()
        return self._end()

    def _handlers(self) -> dict[signal.Signals, Callable[..., None]]:
        def stop(*_: object) -> None:
            self._stopping = True

        def reload(*_: object) -> None:
            for place in self._places:
                if place.worker is not None:
                    place.worker.process.send_signal(signal.SIGHUP)

        def replace(*_: object) -> None:
            self._replacing = True

        return {
            signal.SIGTERM: stop,
            signal.SIGINT: stop,
            signal.SIGHUP: reload,
            signal.SIGUSR2: replace,
        }

    def _start(self, *, alone: bool = False) -> "_Worker":
        """Raises OSError where the machine gives no process."""
        ours, theirs = socket.socketpair()
        command = [*self._command, "--parent-fd", str(theirs.fileno())]
        if not alone:
            # While others serve, nobody has to wait for what it loads beside its first answers.
            command.append("--warm")
        # A process keeps the mask it is started with: until it can reload, a SIGHUP waits for it.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            process = subprocess.Popen(command, pass_fds=(*self._keep, theirs.fileno()))  # noqa: S603 -- our own
        except OSError:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()
        return _Worker(process, ours)

    def _waited(self, worker: "_Worker") -> bool:
        """Waits until this one serves; whether it does."""
        while not (self._stopping or worker.ended or worker.age_s > _START_S):
            self._await_word(worker)
            if worker.serves:
                return True
        if worker.age_s > _START_S:
            _LOG.error("a worker did not serve in time", extra={"fields": {"s": _START_S}})
        worker.process.kill()
        self._ending.append(worker)
        return False

    def _await_word(self, *starting: "_Worker") -> None:
        """Waits for a tenth of a second, or for a worker's word, which the others are told."""
        placed = [place.worker for place in self._places if place.worker is not None]
        workers = [*dict.fromkeys((*placed, *starting))]
        select.select(workers, [], [], _LOOK_EVERY_S)
        for worker in workers:
            served = worker.serves
            lines = worker.hear()
            for line in lines:
                self._kept.keep(line)
                for other in workers:
                    if other is not worker:
                        other.tell(line)
            if worker.serves and not served:
                for line in self._kept.lines():
                    worker.tell(line)

    def _tend(self) -> None:
        """Sees who has ended, and starts whose turn it is."""
        self._ending = [worker for worker in self._ending if not worker.ended]
        for place in self._places:
            worker = place.worker
            if worker is not None and worker.ended:
                place.vacate(worker)
            elif worker is not None and not worker.serves and worker.age_s > _START_S:
                worker.process.kill()
            elif worker is None and time.monotonic() >= place.due_s:
                try:
                    place.worker = self._start()
                except OSError as error:
                    place.put_off(f"no process: {error.strerror}")

    def _replace_all(self) -> None:
        for place in self._places:
            try:
                successor = self._start()
            except OSError as error:
                _LOG.error("a worker is not replaced: %s", error.strerror)
                return
            if not self._waited(successor):
                # The old one serves on: what cannot start replaces nothing.
                return
            old, place.worker = place.worker, successor
            if old is not None:
                old.process.send_signal(signal.SIGTERM)
                self._ending.append(old)
            self._tend()

    def _end(self) -> int:
        """Ends them all, gracefully; the worst of their exit codes."""
        running = [place.worker for place in self._places if place.worker is not None]
        for worker in running:
            worker.process.send_signal(signal.SIGTERM)
        for worker in self._ending:
            worker.end()
        # One that was told before it could listen has ended by the signal, and as it should.
        codes = [worker.end() for worker in running]
        return max((code for code in codes if code != 128 + signal.SIGTERM), default=0)


class _Worker:
    """A running process and our end of the socket to it."""

    def __init__(self, process: "subprocess.Popen[bytes]", link: socket.socket) -> None:
        self.process = process
        self._link = link
        self._link.setblocking(False)
        self._since_s = time.monotonic()
        self._lines = Lines()
        self._says_so = False

    def fileno(self) -> int:
        """Its socket's, to be waited for."""
        return self._link.fileno()

    @property
    def age_s(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self._since_s

    @property
    def serves(self) -> bool:
        """Whether it has said so, and still runs."""
        return self._says_so and not self.ended

    def hear(self) -> list[bytes]:
        """What it has to tell the others."""
        lines: list[bytes] = []
        with suppress(OSError):
            while data := self._link.recv(_PIECE_BYTES):
                lines += self._lines.feed(data)
        self._says_so = self._says_so or SERVES in lines
        return [line for line in lines if line != SERVES]

    def tell(self, line: bytes) -> None:
        """Tell it what another one has told."""
        put(self._link, line)

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self.process.poll() is not None

    def end(self) -> int:
        """Waits for its end; the exit code as a shell has it."""
        code = self.process.wait()
        self._link.close()
        return code if code >= 0 else 128 - code


@dataclass(slots=True)
class _Place:
    """Where one worker after another serves: ``early`` of them in a row ended at their start."""

    worker: _Worker | None = None
    early: int = 0
    due_s: float = 0.0

    @property
    def serves(self) -> bool:
        """Whether somebody serves here."""
        return self.worker is not None and self.worker.serves

    def vacate(self, worker: _Worker) -> None:
        """It has ended: the next one comes soon, or later where it did not run for long."""
        if worker.age_s >= _STEADY_S:
            self.early = 0
        self.worker = None
        self.put_off(f"exit code {worker.end()}")

    def put_off(self, reason: str) -> None:
        """The next one comes later each time."""
        wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0**self.early)
        self.early = min(self.early + 1, 16)
        self.due_s = time.monotonic() + wait_s
        _LOG.warning(
            "a worker ended and is replaced", extra={"fields": {"problem": reason, "in_s": wait_s}}
        )

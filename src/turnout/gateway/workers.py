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

from turnout.gateway.worker_link import SERVING, ActiveCooldowns, LineReader, send_line

_LOG = logging.getLogger("turnout.gateway")
_INTERVAL_S = 0.1
_START_S = 60.0
# A worker that ends sooner has failed at its start; the next one waits longer each time.
_STEADY_S = 10.0
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_PIECE_BYTES = 65_536


class Workers:
    """Keeps ``count`` processes of ``command`` running, each with the descriptors ``keep_fds``.

    Each is given ``--parent-fd``, a socket: it says there that it serves, within a minute, and what
    the others are to know, and ends when nothing holds the other end any more. SIGTERM and SIGINT
    end them all, gracefully; SIGHUP is passed on; SIGUSR2 replaces them one by one, each once its
    successor serves.
    """

    def __init__(self, command: Sequence[str], count: int, keep_fds: Sequence[int]) -> None:
        self._command = list(command)
        self._keep_fds = tuple(keep_fds)
        self._slots = [_Slot() for _ in range(count)]
        self._ending: list[_Worker] = []
        self._cooldowns = ActiveCooldowns()
        self._stopping = False
        self._replacing = False

    def run(self, serving: Callable[[], object], ready: Callable[[], object]) -> int:
        """Runs until told to stop. Returns the exit code.

        Calls ``serving`` once the first one serves and ``ready`` once all do. The others start
        after the first: what hinders them all is said once, and ends the run.
        """
        for number, handler in self._handlers().items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        first = self._slots[0].worker = self._start(alone=True)
        if not self._wait_until_serving(first):
            return 0 if self._stopping else first.wait()
        serving()
        is_waiting = True
        while not self._stopping:
            self._restart_ended()
            if is_waiting and all(slot.is_serving for slot in self._slots):
                is_waiting = False
                ready()
            if self._replacing:
                self._replacing = False
                self._replace_all()
            self._relay_messages()
        return self._end()

    def _handlers(self) -> dict[signal.Signals, Callable[..., None]]:
        def stop(*_: object) -> None:
            self._stopping = True

        def reload(*_: object) -> None:
            for slot in self._slots:
                if slot.worker is not None:
                    slot.worker.process.send_signal(signal.SIGHUP)

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
            process = subprocess.Popen(command, pass_fds=(*self._keep_fds, theirs.fileno()))  # noqa: S603 -- our own
        except OSError:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()
        return _Worker(process, ours)

    def _wait_until_serving(self, worker: "_Worker") -> bool:
        """Waits until this one serves. Returns whether it does."""
        while not (self._stopping or worker.has_ended or worker.age_s > _START_S):
            self._relay_messages(worker)
            if worker.is_serving:
                return True
        if worker.age_s > _START_S:
            _LOG.error("a worker did not serve in time", extra={"fields": {"s": _START_S}})
        worker.process.kill()
        self._ending.append(worker)
        return False

    def _relay_messages(self, *starting: "_Worker") -> None:
        """Waits up to a tenth of a second for workers' messages, and sends them to the others."""
        assigned = [slot.worker for slot in self._slots if slot.worker is not None]
        workers = [*dict.fromkeys((*assigned, *starting))]
        select.select(workers, [], [], _INTERVAL_S)
        for worker in workers:
            was_serving = worker.is_serving
            lines = worker.receive()
            for line in lines:
                self._cooldowns.add(line)
                for other in workers:
                    if other is not worker:
                        other.send(line)
            if worker.is_serving and not was_serving:
                for line in self._cooldowns.lines():
                    worker.send(line)

    def _restart_ended(self) -> None:
        """Clears the slots of workers that have ended, and starts the workers that are due."""
        self._ending = [worker for worker in self._ending if not worker.has_ended]
        for slot in self._slots:
            worker = slot.worker
            if worker is not None and worker.has_ended:
                slot.worker_ended(worker)
            elif worker is not None and not worker.is_serving and worker.age_s > _START_S:
                worker.process.kill()
            elif worker is None and time.monotonic() >= slot.start_at_s:
                try:
                    slot.worker = self._start()
                except OSError as error:
                    slot.delay_restart(f"no process: {error.strerror}")

    def _replace_all(self) -> None:
        for slot in self._slots:
            try:
                successor = self._start()
            except OSError as error:
                _LOG.error("a worker is not replaced: %s", error.strerror)
                return
            if not self._wait_until_serving(successor):
                # The old one serves on: what cannot start replaces nothing.
                return
            old, slot.worker = slot.worker, successor
            if old is not None:
                old.process.send_signal(signal.SIGTERM)
                self._ending.append(old)
            self._restart_ended()

    def _end(self) -> int:
        """Ends them all, gracefully. Returns the worst of their exit codes."""
        running = [slot.worker for slot in self._slots if slot.worker is not None]
        for worker in running:
            worker.process.send_signal(signal.SIGTERM)
        for worker in self._ending:
            worker.wait()
        # One that was told before it could listen has ended by the signal, and as it should.
        codes = [worker.wait() for worker in running]
        return max((code for code in codes if code != 128 + signal.SIGTERM), default=0)


class _Worker:
    """A running process and our end of the socket to it."""

    def __init__(self, process: "subprocess.Popen[bytes]", link: socket.socket) -> None:
        self.process = process
        self._link = link
        self._link.setblocking(False)
        self._started_s = time.monotonic()
        self._lines = LineReader()
        self._has_reported = False

    def fileno(self) -> int:
        """Its socket's, to be waited for."""
        return self._link.fileno()

    @property
    def age_s(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self._started_s

    @property
    def is_serving(self) -> bool:
        """Whether it has reported that it serves, and still runs."""
        return self._has_reported and not self.has_ended

    def receive(self) -> list[bytes]:
        """Its messages for the other workers."""
        lines: list[bytes] = []
        with suppress(OSError):
            while data := self._link.recv(_PIECE_BYTES):
                lines += self._lines.feed(data)
        self._has_reported = self._has_reported or SERVING in lines
        return [line for line in lines if line != SERVING]

    def send(self, line: bytes) -> None:
        """Send it another worker's message."""
        send_line(self._link, line)

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self.process.poll() is not None

    def wait(self) -> int:
        """Waits for its end. Returns the exit code as a shell would."""
        code = self.process.wait()
        self._link.close()
        return code if code >= 0 else 128 - code


@dataclass(slots=True)
class _Slot:
    """A place for one worker after another; ``early_ends`` of them in a row ended soon."""

    worker: _Worker | None = None
    early_ends: int = 0
    start_at_s: float = 0.0

    @property
    def is_serving(self) -> bool:
        """Whether a worker serves here."""
        return self.worker is not None and self.worker.is_serving

    def worker_ended(self, worker: _Worker) -> None:
        """The worker has ended: start another one soon, or later if this one did not run long."""
        if worker.age_s >= _STEADY_S:
            self.early_ends = 0
        self.worker = None
        self.delay_restart(f"exit code {worker.wait()}")

    def delay_restart(self, reason: str) -> None:
        """Start the next one, after a wait that grows each time."""
        wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0**self.early_ends)
        self.early_ends = min(self.early_ends + 1, 16)
        self.start_at_s = time.monotonic() + wait_s
        _LOG.warning(
            "a worker ended and is replaced", extra={"fields": {"problem": reason, "in_s": wait_s}}
        )

"""Hands the listening socket to the next process, so that a restart loses no waiting connection.

The process that serves listens on a Unix socket in its state folder. Its successor asks there for
the listening socket (SCM_RIGHTS), starts to serve on it, and says so; then the old one drains.
Connections wait in the one queue of the one socket all the while.

Invariant: only the owner of the state folder can ask; the old process stops only for a successor
that serves.
"""

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from turnout.core import ConfigError

_READY = b"R"
_WAIT_S = 120.0


class Handover:
    """Offers ``listener`` at ``path`` to one successor after another; ``stop`` ends this process.

    Runs in a thread of its own, since a supervisor has no event loop.
    """

    def __init__(self, path: Path, listener: socket.socket, stop: Callable[[], None]) -> None:
        self._path = path
        self._listener = listener
        self._stop = stop
        self._server: socket.socket | None = None
        self._inode = 0

    def __enter__(self) -> Self:
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.unlink(missing_ok=True)
            self._server.bind(str(self._path))
            self._path.chmod(0o600)
            self._inode = self._path.stat().st_ino
        except OSError as error:
            self._server.close()
            raise ConfigError(
                f"{self._path} cannot be used to listen ({error.strerror or error}); "
                "set TURNOUT_STATE_DIR to a folder of your own with a shorter path"
            ) from error
        self._server.listen(1)
        threading.Thread(target=self._serve, args=(self._server,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._server is not None:
            self._server.close()
            with suppress(OSError):
                # A successor has put its own there.
                if self._path.stat().st_ino == self._inode:
                    self._path.unlink()

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                successor, _ = server.accept()
            except OSError:
                return  # closed at the end
            with successor, suppress(OSError):
                successor.settimeout(_WAIT_S)
                socket.send_fds(successor, [_READY], [self._listener.fileno()])
                if successor.recv(1) == _READY:
                    self._stop()
                    return


class Takeover:
    """The listening socket of a running gateway, and the word to it that this one serves."""

    def __init__(self, path: Path) -> None:
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._connection.settimeout(_WAIT_S)
            self._connection.connect(str(path))
            _, descriptors, _, _ = socket.recv_fds(self._connection, 1, 1)
        except OSError as error:
            self._connection.close()
            raise ConfigError(
                f"no gateway to take over from at {path} ({error.strerror}); "
                "leave --take-over out to start the first one"
            ) from error
        if not descriptors:
            self._connection.close()
            raise ConfigError(f"the gateway at {path} ended before it could be taken over")
        self.listener = socket.socket(fileno=descriptors[0])
        os.set_inheritable(descriptors[0], True)

    def close(self) -> None:
        """Leaves the socket to the old process alone."""
        self.listener.close()
        self._connection.close()

    def ready(self) -> None:
        """Tells the old process that it may stop."""
        with suppress(OSError):
            self._connection.sendall(_READY)
        self._connection.close()


def handover_path(directory: Path, port: int) -> Path:
    """Where the gateway on this port can be asked."""
    return directory / f"serve-{port}.sock"

"""What the workers of one gateway tell each other, by the sockets between them and their parent.

Invariant: nobody waits to tell or to be told: what a socket does not take at once is dropped, and
what is no message passed over. This module does not know how deployments are left alone.
"""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from turnout.core.cooldown import REPAIRABLE, Cooldown

SERVES = b"serves"
_LONGEST_BYTES = 4096
_MOST_KEPT = 1000
_PIECE_BYTES = 65_536

_decode = msgspec.json.Decoder(Cooldown).decode


class Lines:
    """Bytes to lines; one that is too long is dropped."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that end in ``data``, but for empty ones."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest if len(rest) <= _LONGEST_BYTES else b""
        return [line for line in lines if line]


def put(link: socket.socket, line: bytes) -> None:
    """Send a line, or nothing where there is no room for it."""
    with suppress(OSError):
        # A line that went off in part ends where the next one begins.
        link.send(b"\n%b\n" % line, socket.MSG_DONTWAIT)


class Kept:
    """What a worker that starts later has to know, a thousand deployments at most."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, bool], tuple[float, bytes]] = {}

    def keep(self, line: bytes) -> None:
        """Keep what a worker has told, but for what a reload may have mended by then."""
        with suppress(msgspec.DecodeError):
            told = _decode(line)
            if told.why not in REPAIRABLE:
                of = told.deployment, told.comes_last
                self._lines.pop(of, None)
                self._lines[of] = told.until_s, line
                if len(self._lines) > _MOST_KEPT:
                    del self._lines[next(iter(self._lines))]

    def lines(self) -> list[bytes]:
        """Those that hold now."""
        now = time.monotonic()
        self._lines = {of: kept for of, kept in self._lines.items() if kept[0] > now}
        return [line for _, line in self._lines.values()]


class Parent:
    """A worker's end of the socket to its parent; ``gone`` is called when that has ended."""

    def __init__(self, link: socket.socket, gone: Callable[[], object]) -> None:
        self._link = link
        self._gone = gone
        self._heard: Callable[[Cooldown], object] = lambda _: None
        threading.Thread(target=self._listen, daemon=True).start()

    def join(self, heard: Callable[[Cooldown], object]) -> None:
        """Have ``heard`` called, on a thread, with what other workers tell."""
        self._heard = heard

    def serves(self) -> None:
        """Say that this worker serves."""
        put(self._link, SERVES)

    def tell(self, cooldown: Cooldown) -> None:
        """Tell the other workers; does not block."""
        put(self._link, msgspec.json.encode(cooldown))

    def _listen(self) -> None:
        lines = Lines()
        with suppress(OSError):
            while data := self._link.recv(_PIECE_BYTES):
                for line in lines.feed(data):
                    with suppress(msgspec.DecodeError):
                        self._heard(_decode(line))
        self._gone()

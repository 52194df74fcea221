"""Messages between the workers of one gateway, over the sockets to their parent.

Invariant: sending never waits: what a socket does not take at once is dropped, and what is not a
message is ignored. This module does not know how deployments cool down.
"""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from turnout.core.cooldown import REPAIRABLE, Cooldown

SERVING = b"serves"
_LONGEST_BYTES = 4096
_MOST_KEPT = 1000
_PIECE_BYTES = 65_536

_decode = msgspec.json.Decoder(Cooldown).decode


class LineReader:
    """Bytes to lines; one that is too long is dropped."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that end in ``data``, but for empty ones."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest if len(rest) <= _LONGEST_BYTES else b""
        return [line for line in lines if line]


def send_line(link: socket.socket, line: bytes) -> None:
    """Send a line, or drop it if there is no room for it."""
    with suppress(OSError):
        # A line that went off in part ends where the next one begins.
        link.send(b"\n%b\n" % line, socket.MSG_DONTWAIT)


class ActiveCooldowns:
    """The cooldowns that a later worker has to know, of a thousand deployments at most."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, bool], tuple[float, bytes]] = {}

    def add(self, line: bytes) -> None:
        """Keep a worker's cooldown, unless a reload may end its cause."""
        with suppress(msgspec.DecodeError):
            cooldown = _decode(line)
            if cooldown.why not in REPAIRABLE:
                key = cooldown.deployment, cooldown.comes_last
                self._lines.pop(key, None)
                self._lines[key] = cooldown.until_s, line
                if len(self._lines) > _MOST_KEPT:
                    del self._lines[next(iter(self._lines))]

    def lines(self) -> list[bytes]:
        """The cooldowns that have not ended."""
        now = time.monotonic()
        self._lines = {key: kept for key, kept in self._lines.items() if kept[0] > now}
        return [line for _, line in self._lines.values()]


class ParentLink:
    """A worker's end of the socket to its parent; ``on_end`` is called when that has ended."""

    def __init__(self, link: socket.socket, on_end: Callable[[], object]) -> None:
        self._link = link
        self._on_end = on_end
        self._callback: Callable[[Cooldown], object] = lambda _: None
        threading.Thread(target=self._listen, daemon=True).start()

    def subscribe(self, callback: Callable[[Cooldown], object]) -> None:
        """Have ``callback`` called, on a thread, with the cooldowns of other workers."""
        self._callback = callback

    def report_serving(self) -> None:
        """Say that this worker serves."""
        send_line(self._link, SERVING)

    def send_cooldown(self, cooldown: Cooldown) -> None:
        """Tell the other workers; does not block."""
        send_line(self._link, msgspec.json.encode(cooldown))

    def _listen(self) -> None:
        lines = LineReader()
        with suppress(OSError):
            while data := self._link.recv(_PIECE_BYTES):
                for line in lines.feed(data):
                    with suppress(msgspec.DecodeError):
                        self._callback(_decode(line))
        self._on_end()

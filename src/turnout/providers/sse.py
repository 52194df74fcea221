"""Reads server-sent events from bytes that arrive in pieces.

Invariant: the same bytes give the same events, however they are split; nothing grows beyond the
cap. Follows the parsing rules of the WHATWG HTML standard, section 9.2.6.
This module does not know what the events mean.
"""

from collections.abc import Iterator

from msgspec import Struct

MAX_EVENT_BYTES = 8 * 2**20

_BOM = b"\xef\xbb\xbf"


class Event(Struct, frozen=True, kw_only=True):
    """One event: its data lines joined by newlines, and its type."""

    data: str
    type: str = "message"


class EventTooLarge(Exception):
    """An event passed the cap; the stream cannot be read any further."""


class EventParser:
    """Collects lines into events. ``max_bytes`` caps the data of one event."""

    def __init__(self, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._line: list[bytes] = []
        self._line_bytes = 0
        self._data: list[str] = []
        self._data_bytes = 0
        self._type = ""
        self._at_start = True
        self._after_cr = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events completed by ``data``. Raises EventTooLarge after those before it."""
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if not data:
            return
        # A trailing CR ends its line at once; should LF follow in the next piece, it is skipped.
        self._after_cr = data.endswith(b"\r")
        # Of bytes, splitlines ends a line at LF, CR and CRLF and nowhere else.
        lines = data.splitlines()
        rest = b"" if data.endswith((b"\n", b"\r")) else lines.pop()
        for piece in lines:
            line = self._joined(piece) if self._line or self._at_start else piece
            if line:
                self._read_field(line)
            elif self._data:
                event = self._end_event()
                if event is not None:
                    yield event
            else:
                self._type = ""
        if rest:
            self._keep(rest)

    def pending(self) -> Event | None:
        """The event that lacks its closing blank line; for a peer that closed without one."""
        line = self._joined(b"") if self._line else b""
        if line:
            self._read_field(line)
        return self._end_event()

    def _keep(self, piece: bytes) -> None:
        """Keeps the beginning of a line."""
        self._line_bytes += len(piece)
        if self._data_bytes + self._line_bytes > self._max_bytes:
            raise EventTooLarge
        self._line.append(piece)

    def _joined(self, piece: bytes) -> bytes:
        """The whole line that ``piece`` ends."""
        line = b"".join([*self._line, piece])
        self._line.clear()
        self._line_bytes = 0
        if self._at_start:
            line = line.removeprefix(_BOM)
            self._at_start = False
        return line

    def _read_field(self, line: bytes) -> None:
        if self._data_bytes + len(line) > self._max_bytes:
            raise EventTooLarge
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value.decode("utf-8", "replace"))
            self._data_bytes += len(value) + 1
        elif name == b"event":
            self._type = value.decode("utf-8", "replace")

    def _end_event(self) -> Event | None:
        data, kind = "\n".join(self._data), self._type
        self._data.clear()
        self._data_bytes = 0
        self._type = ""
        return Event(data=data, type=kind or "message") if data else None

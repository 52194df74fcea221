"""Server-sent events out of bytes that arrive in pieces.

Invariant: the same bytes give the same events, however they are split; nothing grows beyond the
cap. Follows the parsing rules of the WHATWG HTML standard, section 9.2.6.
This module does not know what the events mean.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_EVENT_BYTES = 8 * 2**20

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
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
        *lines, rest = _LINE_END.split(data)
        for line in lines:
            event = self._end_line(line)
            if event is not None:
                yield event
        self._keep(rest)

    def pending(self) -> Event | None:
        """The event that lacks its closing blank line; for a peer that closed without one."""
        self._end_line(b"") if self._line else None
        return self._end_event()

    def _keep(self, piece: bytes) -> None:
        self._line_bytes += len(piece)
        if self._data_bytes + self._line_bytes > self._max_bytes:
            raise EventTooLarge
        if piece:
            self._line.append(piece)

    def _end_line(self, piece: bytes) -> Event | None:
        self._keep(piece)
        line = b"".join(self._line)
        self._line.clear()
        self._line_bytes = 0
        if self._at_start:
            line = line.removeprefix(_BOM)
            self._at_start = False
        if not line:
            return self._end_event()
        self._read_field(line)
        return None

    def _read_field(self, line: bytes) -> None:
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

"""A handler for log lines that does not wait for whoever reads them.

A pipe holds some 64 kB. If its reader hangs (a pager, a collector), a write would stop the event
loop, and with it every answer.

Invariant: lines that nobody reads are left out, and counted in a line as soon as they are read
again. This module does not know what is logged.
"""

import logging
import select
from collections.abc import Callable
from typing import Any, TextIO

LEFT_OUT = "log lines were left out, since nobody read them"


class PatientHandler(logging.StreamHandler[TextIO]):
    """Writes to ``stream``, which may be anything; only what has a file descriptor can be full."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._has_room = _room_check(stream)
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the line, or leaves it out."""
        if self._left_out and self._has_room():
            missing, self._left_out = self._left_out, 0
            super().emit(_notice(missing))
        if self._has_room():
            super().emit(record)
        else:
            self._left_out += 1


def _room_check(stream: TextIO) -> Callable[[], Any]:
    """Whether a line can be written now: true also if that fails, so that the failure shows."""
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError, ValueError):
        return lambda: True
    if not hasattr(select, "poll"):
        return lambda: True
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    return lambda: ready.poll(0)


def _notice(missing: int) -> logging.LogRecord:
    fields = {"lines": missing}
    values = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING"}
    return logging.makeLogRecord({**values, "msg": LEFT_OUT, "fields": fields})

"""One JSON line per event, about requests but never with their content.

Invariant: only the fields named here are written, no texts of callers or providers.
"""

import logging
import sys
import time
from collections.abc import Sequence
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

import orjson

from turnout.core import Scan, Standing, usd
from turnout.gateway.log_stream import PatientHandler

if TYPE_CHECKING:
    from turnout.runtime import Walk  # a parent of workers logs without it

_LOG = logging.getLogger("turnout.gateway")
_ACCESS_LOG = logging.getLogger("turnout.gateway.access")
_MIN_INTERVAL_S = 10.0


class JsonLines(logging.Formatter):
    """Formats a record as one line; of an exception only its type and place are written."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {"time": round(record.created, 3), "level": record.levelname.lower()}
        line["event"] = record.getMessage()
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            frames = [
                f"{frame.f_code.co_filename.rpartition('/')[2]}:{number}"
                for frame, number in walk_tb(record.exc_info[2])
            ]
            line["at"] = frames[-8:]
        return orjson.dumps(line).decode()


def configure(level: str = "INFO") -> None:
    """Sends the gateway's logs, and an exporter's complaints, to standard error as JSON lines."""
    handler = PatientHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, lowest in (("turnout", level), ("opentelemetry", "WARNING")):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(lowest)
        logger.propagate = False


def access(request_id: str, path: str, status: int, seconds: float) -> None:
    """Logs a request that has ended."""
    if _ACCESS_LOG.isEnabledFor(logging.DEBUG):
        taken = round(1e3 * seconds, 2)
        fields = {"request": request_id, "path": path, "status": status, "ms": taken}
        _ACCESS_LOG.debug("request", extra={"fields": fields})


def walk_ended(walk: "Walk") -> None:
    """Logs a decision that was carried out.

    If no model answered, it is ``failed``, unless the caller ``left`` or it was blocked.
    """
    event = "answered" if walk.decision.blocked or walk.stopped else _event_of(walk)
    level = logging.WARNING if event == "failed" else logging.INFO
    if not _ACCESS_LOG.isEnabledFor(level):
        return
    decision, call = walk.decision, walk.unfailed_call
    fields: dict[str, Any] = {
        "request": walk.request.id,
        "decision": decision.id,
        "intent": decision.intent,
        "model": call.model if call else None,
        "blocked": decision.blocked is not None,
        "attempts": [o.error.kind if o.error else o.status for o in walk.outcomes],
        "input_tokens": call.usage.total_input if call else 0,
        "output_tokens": call.usage.total_output if call else 0,
        "cost_usd": usd(walk.cost_pico_usd),
    }
    if walk.scans:
        fields["scans"] = [scan_fields(scan) for scan in walk.scans]
    # ``log`` would look through the stack for its caller, whom no line names.
    name, extra = _ACCESS_LOG.name, {"fields": fields}
    _ACCESS_LOG.handle(_ACCESS_LOG.makeRecord(name, level, "", 0, event, (), None, extra=extra))


def _event_of(walk: "Walk") -> str:
    last = walk.outcomes[-1] if walk.outcomes else None
    if last is None or last.status == "cancelled":
        return "left"
    return "failed" if last.error is not None else "answered"


def over_budget(request_id: str, full: Sequence[Standing]) -> None:
    """Logs a request that did not fit budgets; without sessions' names, which callers choose."""
    budgets = [
        {"budget": s.budget.id, "subject": None if s.budget.per == "session" else s.subject}
        for s in full
    ]
    _ACCESS_LOG.info("refused", extra={"fields": {"request": request_id, "budgets": budgets}})


def unused_budgets(budgets: Sequence[str]) -> None:
    """Logs budgets whose model is not configured, if there are any."""
    if budgets:
        _LOG.warning(
            "budgets are for models that are not configured, so that nothing counts there; "
            "set others, or remove these",
            extra={"fields": {"budgets": list(budgets)}},
        )


class Outage:
    """Logs that the ledger cannot be used, but not for each request that fails by it."""

    def __init__(self) -> None:
        self._last_logged_s = -_MIN_INTERVAL_S

    def report(self, problem: str) -> None:
        """A request failed because of the ledger."""
        now_s = time.monotonic()
        if now_s - self._last_logged_s >= _MIN_INTERVAL_S:
            self._last_logged_s = now_s
            _LOG.error("the ledger cannot be used", extra={"fields": {"problem": problem}})


def scan_fields(scan: Scan) -> dict[str, Any]:
    """The fields of what was scanned, made only from the scanner's own Scans."""
    return {
        "part": scan.part,
        "sha256": scan.sha256,
        "bytes": scan.scanned_bytes,
        "unsafe": scan.unsafe,
        "blocked": scan.blocked,
    }

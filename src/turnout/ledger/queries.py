"""Queries on the ledger: the list, one whole request, and its decision's record.

Invariant: reading never changes anything. This module does not know how rows are written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from turnout.core import Decision, InvalidRequest, Request
from turnout.ledger.records import unpack
from turnout.ledger.schema import FOREIGN_ID
from turnout.ledger.store import Store

_LATEST = """
    SELECT r.id, r.request_id, r.at_ms, r.intent, r.model, r.blocked, r.tenant,
        s.state, (SELECT CAST(sum(cost) AS BIGINT) FROM settlements WHERE id = r.id),
        (SELECT CAST(sum(unknown_calls) AS BIGINT) FROM settlements WHERE id = r.id),
        s.answered, s.at_ms, r.held
    FROM (SELECT * FROM requests {where} ORDER BY id DESC LIMIT {limit}) AS r
    LEFT JOIN settlements AS s ON s.id = r.id AND s.n =
        (SELECT max(n) FROM settlements WHERE id = r.id)
    ORDER BY r.id DESC"""
CALL_COLUMNS = (
    "n", "role", "deployment", "model", "served", "status", "input", "cache_read", "cache_write",
    "output", "reasoning", "estimated", "cost", "price", "ttft_ms", "latency_ms", "finish_reason",
    "fault", "http_status",
)  # fmt: skip
_PRICE_COLUMNS = ("id", "model", "provider", "rates", "source", "date", "assumed")
_PRICES_OF_CALLS = "id IN (SELECT price FROM calls WHERE id = $1)"
# The index for these is the condition's.
_BY_FOREIGN_ID = f"SELECT id FROM requests WHERE request_id = $1 AND {FOREIGN_ID} LIMIT 1"  # noqa: S608 -- constants
_PAGE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One request in a list. ``cost_pico_usd`` is None while it is held or when unknown."""

    id: str
    request_id: str
    at_ms: int
    intent: str
    model: str | None
    blocked: bool
    tenant: str | None
    state: str
    cost_pico_usd: int | None
    answered: bool
    settled_ms: int | None
    held_pico_usd: int | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {name: getattr(self, name) for name in self.__slots__}


def latest_requests(
    store: Store,
    *,
    limit: int = 20,
    intent: str | None = None,
    model: str | None = None,
    before: str | None = None,
    only: str | None = None,
) -> list[Line]:
    """The latest requests, newest first; ``before`` is an id to go on from, ``only`` one id."""
    wanted = {"intent =": intent, "model =": model, "id <": before, "id =": only}
    given = [(name, value) for name, value in wanted.items() if value is not None]
    tests = [f"{name} ${index}" for index, (name, _) in enumerate(given, 1)]
    where = f"WHERE {' AND '.join(tests)}" if tests else ""
    sql = _LATEST.format(where=where, limit=int(limit))
    return [_line(row) for row in store.fetch(sql, [value for _, value in given])]


def all_requests(store: Store) -> Iterator[Line]:
    """All requests, newest first, a page at a time."""
    before: str | None = None
    while page := latest_requests(store, limit=_PAGE, before=before):
        yield from page
        before = page[-1].id


def request_details(store: Store, id_: str) -> dict[str, Any]:
    """Everything about one request, by its own or its decision's id.

    Raises InvalidRequest when the ledger does not have it.
    """
    full = find_id(store, id_)
    (line,) = latest_requests(store, only=full)
    return {
        **line.as_dict(),
        "calls": _dicts(store, CALL_COLUMNS, "calls", full),
        "settlements": _dicts(
            store,
            ("n", "at_ms", "state", "answered", "cost", "extra", "unknown_calls"),
            "settlements",
            full,
        ),
        "events": _dicts(store, ("n", "at_ms", "kind", "detail"), "events", full),
        "feedback": _dicts(store, ("at_ms", "metric", "source", "value_micro"), "feedback", full),
        "prices": _dicts(store, _PRICE_COLUMNS, "prices", full, _PRICES_OF_CALLS),
    }


def find_id(store: Store, id_: str) -> str:
    """The decision's id for the id of a decision or request. Raises InvalidRequest."""
    if store.fetch("SELECT 1 FROM requests WHERE id = $1", (id_,)):
        return id_
    # A decision's id starts as its request's: only those few need to be looked at.
    start = "d_" + id_.removeprefix("r_")[:12]
    rows = store.fetch(
        "SELECT id FROM requests WHERE id >= $1 AND id < $2 AND request_id = $3",
        (start, start + "g", id_),
    )
    if not rows:
        rows = store.fetch(_BY_FOREIGN_ID, (id_,))
    if not rows:
        raise InvalidRequest(
            f"{id_!r} is not in the ledger; turnout ledger list shows the latest", field="id"
        )
    return str(rows[0][0])


def decision_of(store: Store, id_: str) -> tuple[Request, Decision]:
    """The stored decision, with its request except the text. Raises InvalidRequest."""
    full = find_id(store, id_)
    rows = store.fetch("SELECT record FROM decisions WHERE id = $1", (full,))
    if not rows:
        raise InvalidRequest(f"{id_!r} has no decision", field="id")
    return unpack(rows[0][0])


def _line(row: Sequence[Any]) -> Line:
    state, cost, unknown = row[7], row[8], row[9]
    return Line(
        id=row[0],
        request_id=row[1],
        at_ms=row[2],
        intent=row[3],
        model=row[4],
        blocked=bool(row[5]),
        tenant=row[6],
        state=state or "held",
        cost_pico_usd=None if state is None or unknown else cost,
        answered=bool(row[10]),
        settled_ms=row[11],
        held_pico_usd=row[12],
    )


def _dicts(
    store: Store, columns: Sequence[str], table: str, id_: str, where: str = "id = $1"
) -> list[dict[str, Any]]:
    names = ", ".join(columns)
    rows = store.fetch(f"SELECT {names} FROM {table} WHERE {where} ORDER BY 1", (id_,))  # noqa: S608 -- constants
    return [dict(zip(columns, row, strict=True)) for row in rows]

"""From entries to rows: the statements that write them, and how a batch is gathered.

Invariant: an entry's rows, and the sums they change, are written in one transaction. The SQL is
the same for both databases. This module does not know connections.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from turnout.ledger.entries import (
    HOUR_MS,
    UNDECIDED,
    Call,
    Change,
    Charge,
    Decided,
    Entry,
    Hold,
    Opinion,
    Settlement,
    Sums,
)
from turnout.ledger.schema import HOURLY, TWINS

Row = Sequence[Any]
Statements = list[tuple[str, list[Row]]]


def _insert(table: str, count: int, conflict: str = "") -> str:
    marks = ", ".join(f"${index}" for index in range(1, count + 1))
    return f"INSERT INTO {table} VALUES ({marks}) {conflict}".rstrip()  # noqa: S608 -- constants


def _upsert_sum(table: str, keys: Sequence[str], sums: Sequence[str]) -> str:
    changes = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in sums)
    conflict = f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"
    return _insert(table, len(keys) + len(sums), conflict)


HOLD = _insert(
    "holds",
    7,
    "ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, "
    "lease_until_ms = excluded.lease_until_ms, charges = excluded.charges",
)
REQUEST = _insert("requests", 10)
DECISION = _insert("decisions", 2)
PRICE = _insert("prices", 7, "ON CONFLICT DO NOTHING")
CALL = _insert("calls", 20)
NON_TEXT_COST = _insert("beside_text", 3)
SETTLEMENT = _insert("settlements", 8)
EVENT = _insert("events", 5, "ON CONFLICT DO NOTHING")
FREE = "DELETE FROM holds WHERE id = $1"
# Several opinions of one millisecond are told apart by the next ones.
FEEDBACK = (
    "INSERT INTO feedback SELECT $1, CASE WHEN latest >= $2 THEN latest + 1 ELSE $2 END, "
    "$3, $4, $5 FROM (SELECT coalesce(max(at_ms), 0) AS latest FROM feedback "
    "WHERE id = $1 AND metric = $3 AND source = $4) AS known"
)
HOUR = _upsert_sum("hourly", ("hour", "intent", "model"), HOURLY)
TWIN = _upsert_sum("twins", ("hour", "intent", "model", "twin"), TWINS)
OPINION = (
    f"INSERT INTO opinions SELECT at_ms / {HOUR_MS}, intent, coalesce(model, ''), $1, 1, $2 "  # noqa: S608 -- a constant
    "FROM requests WHERE id = $3 ON CONFLICT (hour, intent, model, metric) "
    "DO UPDATE SET number = opinions.number + 1, "
    "value_micro = opinions.value_micro + excluded.value_micro"
)
BALANCE = _insert(
    "balances",
    4,
    "ON CONFLICT (account, win) DO UPDATE SET spent = excluded.spent, held = excluded.held",
)
READ_BALANCE = "SELECT spent, held FROM balances WHERE account = $1 AND win = $2"
FIRST_BALANCE = "INSERT INTO balances VALUES ($1, $2, 0, 0) ON CONFLICT DO NOTHING"
ORDER = (
    HOLD,
    REQUEST,
    DECISION,
    PRICE,
    CALL,
    NON_TEXT_COST,
    EVENT,
    SETTLEMENT,
    FREE,
    FEEDBACK,
    HOUR,
    TWIN,
    OPINION,
    BALANCE,
)


class Batch:
    """Rows gathered from entries; sums are added up here, so that each is written once."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._rows: dict[str, list[Row]] = defaultdict(list)
        self._ends: dict[Row, list[Settlement]] = defaultdict(list)  # by hour, intent and model
        self._changes: Statements = []
        self._prices: set[str] = set()
        for entry in entries:
            self.add(entry)

    def statements(self, balances: list[Row]) -> Statements:
        """The statements with their rows and those of ``balances``, in the order to run them."""
        rows = {**self._rows, BALANCE: balances, HOUR: [], TWIN: []}
        # Sorted, so that processes that share a database lock in one order.
        for key, ends in sorted(self._ends.items()):
            rows[HOUR].append((*key, *_summed([_hourly(end) for end in ends])))
            rows[TWIN] += _twin_rows(key, ends)
        return [*self._changes, *((sql, rows[sql]) for sql in ORDER if rows.get(sql))]

    def add(self, entry: Entry) -> None:
        """Take an entry in."""
        match entry:
            case Decided():
                self._decided(entry)
            case Settlement():
                self._settlement(entry)
            case Hold():
                self._rows[HOLD].append(_hold(entry))
            case Call():
                self._call(entry)
            case Opinion():
                self._opinion(entry)
            case Change():
                self._changes.append((entry.sql, [entry.row]))

    def _decided(self, entry: Decided) -> None:
        hold = entry.hold
        self._rows[HOLD].append(_hold(hold))
        self._rows[REQUEST].append(
            (
                hold.id, hold.request_id, hold.at_ms, entry.intent, entry.model, entry.deployment,
                int(entry.blocked), entry.tenant, entry.session, hold.amount_pico_usd,
            )
        )  # fmt: skip
        self._rows[DECISION].append((hold.id, entry.record))

    def _call(self, call: Call) -> None:
        price = call.price
        if price is not None and price.id not in self._prices:
            self._prices.add(price.id)
            self._rows[PRICE].append(
                (
                    price.id, price.model, price.provider, price.rates, price.source, price.date,
                    int(price.assumed),
                )
            )  # fmt: skip
        self._rows[CALL].append(
            (
                call.id, call.n, call.role, call.deployment, call.model, call.served, call.status,
                *call.tokens, int(call.estimated), call.cost_pico_usd, price.id if price else None,
                call.ttft_ms, call.latency_ms, call.finish_reason, call.fault, call.http_status,
            )
        )  # fmt: skip
        if call.non_text_pico_usd:
            self._rows[NON_TEXT_COST].append((call.id, call.n, call.non_text_pico_usd))

    def _settlement(self, end: Settlement) -> None:
        n = end.n
        if end.intent == UNDECIDED and n == 0:
            self._rows[REQUEST].append(
                (end.id, end.request_id, end.decided_ms, UNDECIDED, None, None, 0, *[None] * 3)
            )
        for call in end.calls:
            self._call(call)
        self._rows[EVENT] += [(e.id, e.n, e.at_ms, e.kind, e.detail) for e in end.events]
        self._rows[SETTLEMENT].append(
            (
                end.id, n, end.at_ms, end.state, int(end.answered), end.cost_pico_usd,
                end.extra_pico_usd, end.unknown_calls,
            )
        )  # fmt: skip
        self._rows[FREE].append((end.id,))
        self._ends[end.decided_ms // HOUR_MS, end.intent, end.model].append(end)

    def _opinion(self, entry: Opinion) -> None:
        self._rows[FEEDBACK].append(
            (entry.id, entry.at_ms, entry.metric, entry.source, entry.value_micro)
        )
        self._rows[OPINION].append((entry.metric, entry.value_micro, entry.id))


def _hold(hold: Hold) -> Row:
    return (
        hold.id, hold.request_id, hold.at_ms, hold.amount_pico_usd, hold.lease_until_ms, hold.owner,
        _charges_text(hold.charges) if hold.charges else None,
    )  # fmt: skip


def _charges_text(charges: Sequence[Charge]) -> str:
    return json.dumps([(c.account, c.window, c.amount) for c in charges], separators=(",", ":"))


def _summed(rows: Sequence[Sums]) -> Iterable[int]:
    return map(sum, zip(*rows, strict=True))


def _twin_rows(key: Row, ends: Iterable[Settlement]) -> list[Row]:
    """The sums of each twin, in order."""
    found: dict[str, list[Sums]] = defaultdict(list)
    for end in ends:
        for name, sums in end.twins.items():
            found[name].append(sums)
    return [(*key, name, *_summed(sums)) for name, sums in sorted(found.items())]


def _hourly(end: Settlement) -> Sums:
    # A correction changes amounts, but is not one more request.
    return (
        end.n == 0, end.answered, end.blocked, end.state == "estimated",
        end.state == "released", end.stand_in, end.cost_pico_usd, end.extra_pico_usd,
        end.extra_calls, end.unknown_calls, *end.tokens, end.quality_ppm is not None,
        end.quality_ppm or 0,
    )  # fmt: skip

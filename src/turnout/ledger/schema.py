"""The tables, as a list of named migrations for both databases.

Invariant: a migration that has been released is never edited; the next one follows it. Rows of the
append-only tables are never changed or deleted, which the database itself enforces. This module
does not know connections.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from turnout.core import ConfigError

Dialect = Literal["sqlite", "postgres"]
Migration = Callable[[Dialect], Iterator[str]]

# The way a decision's id is made: see ``decision_id``.
FOREIGN_ID = "substr(id, 3, 12) <> substr(request_id, 3, 12)"
APPEND_ONLY = ("requests", "decisions", "prices", "calls", "settlements", "feedback", "events")


def create_accounts(dialect: Dialect) -> Iterator[str]:
    """Requests with their decisions, prices, calls and settlements; holds are the working set."""
    bytes_, end = ("BLOB", " WITHOUT ROWID") if dialect == "sqlite" else ("BYTEA", "")
    yield f"""CREATE TABLE requests (
        id TEXT PRIMARY KEY, request_id TEXT NOT NULL, at_ms BIGINT NOT NULL,
        intent TEXT NOT NULL, model TEXT, deployment TEXT, blocked INT NOT NULL,
        tenant TEXT, session TEXT, held BIGINT){end}"""
    # A record is too large to be stored with a key: this table keeps row numbers.
    yield f"CREATE TABLE decisions (id TEXT PRIMARY KEY, record {bytes_} NOT NULL)"
    yield f"""CREATE TABLE holds (
        id TEXT PRIMARY KEY, request_id TEXT NOT NULL, at_ms BIGINT NOT NULL, amount BIGINT,
        lease_until_ms BIGINT NOT NULL, owner TEXT NOT NULL){end}"""
    yield f"""CREATE TABLE prices (
        id TEXT PRIMARY KEY, model TEXT NOT NULL, provider TEXT NOT NULL, rates TEXT NOT NULL,
        source TEXT NOT NULL, date TEXT NOT NULL, assumed INT NOT NULL){end}"""
    yield f"""CREATE TABLE calls (
        id TEXT NOT NULL, n INT NOT NULL, role TEXT NOT NULL, deployment TEXT NOT NULL,
        model TEXT NOT NULL, served TEXT, status TEXT NOT NULL,
        input BIGINT NOT NULL, cache_read BIGINT NOT NULL, cache_write BIGINT NOT NULL,
        output BIGINT NOT NULL, reasoning BIGINT NOT NULL, estimated INT NOT NULL,
        cost BIGINT, price TEXT, ttft_ms BIGINT, latency_ms BIGINT NOT NULL,
        finish_reason TEXT, fault TEXT, http_status INT, PRIMARY KEY (id, n)){end}"""
    yield f"""CREATE TABLE settlements (
        id TEXT NOT NULL, n INT NOT NULL, at_ms BIGINT NOT NULL, state TEXT NOT NULL,
        answered INT NOT NULL, cost BIGINT NOT NULL, extra BIGINT NOT NULL,
        unknown_calls INT NOT NULL, PRIMARY KEY (id, n)){end}"""


def create_reports(dialect: Dialect) -> Iterator[str]:
    """Feedback, events, and sums by hour that answer a report without reading every request."""
    end = " WITHOUT ROWID" if dialect == "sqlite" else ""
    yield f"""CREATE TABLE feedback (
        id TEXT NOT NULL, at_ms BIGINT NOT NULL, metric TEXT NOT NULL, source TEXT NOT NULL,
        value_micro BIGINT NOT NULL, PRIMARY KEY (id, metric, source, at_ms)){end}"""
    yield f"""CREATE TABLE events (
        id TEXT NOT NULL, n INT NOT NULL, at_ms BIGINT NOT NULL, kind TEXT NOT NULL,
        detail TEXT NOT NULL, PRIMARY KEY (id, n)){end}"""
    sums = ", ".join(f"{name} BIGINT NOT NULL" for name in HOURLY)
    yield f"""CREATE TABLE hourly (hour BIGINT NOT NULL, intent TEXT NOT NULL, model TEXT NOT NULL,
        {sums}, PRIMARY KEY (hour, intent, model)){end}"""
    sums = ", ".join(f"{name} BIGINT NOT NULL" for name in TWINS)
    yield f"""CREATE TABLE twins (hour BIGINT NOT NULL, intent TEXT NOT NULL, model TEXT NOT NULL,
        twin TEXT NOT NULL, {sums}, PRIMARY KEY (hour, intent, model, twin)){end}"""
    yield f"""CREATE TABLE opinions (hour BIGINT NOT NULL, intent TEXT NOT NULL,
        model TEXT NOT NULL, metric TEXT NOT NULL, number BIGINT NOT NULL,
        value_micro BIGINT NOT NULL, PRIMARY KEY (hour, intent, model, metric)){end}"""


def forbid_changes(dialect: Dialect) -> Iterator[str]:
    """The append-only tables refuse updates and deletions."""
    if dialect == "postgres":
        yield """CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"""
    for table in APPEND_ONLY:
        yield from _append_only_triggers(dialect, table)


def _append_only_triggers(dialect: Dialect, table: str) -> Iterator[str]:
    if dialect == "postgres":
        yield f"""CREATE TRIGGER keep_{table} BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION refuse_change()"""
        return
    for change in ("UPDATE", "DELETE"):
        yield f"""CREATE TRIGGER keep_{table}_{change.lower()} BEFORE {change} ON {table}
            BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"""


def create_budgets(dialect: Dialect) -> Iterator[str]:
    """Keys, budgets and their balances; ``revision`` rises with each change of keys or budgets."""
    end = " WITHOUT ROWID" if dialect == "sqlite" else ""
    yield f"""CREATE TABLE keys (
        id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, name TEXT NOT NULL, team TEXT, parent TEXT,
        admin INT NOT NULL, models TEXT, created_ms BIGINT NOT NULL, expires_ms BIGINT,
        revoked_ms BIGINT){end}"""
    yield f"""CREATE TABLE budgets (
        id TEXT PRIMARY KEY, per TEXT NOT NULL, name TEXT, win TEXT NOT NULL, unit TEXT NOT NULL,
        most BIGINT NOT NULL, when_full TEXT NOT NULL, at_ms BIGINT NOT NULL){end}"""
    yield f"""CREATE TABLE balances (
        account TEXT NOT NULL, win TEXT NOT NULL, spent BIGINT NOT NULL, held BIGINT NOT NULL,
        PRIMARY KEY (account, win)){end}"""
    yield "CREATE TABLE revision (n BIGINT NOT NULL)"
    yield "INSERT INTO revision VALUES (0)"
    yield "ALTER TABLE holds ADD COLUMN charges TEXT"


def create_replays(dialect: Dialect) -> Iterator[str]:
    """Answers by callers' idempotency keys, and claims to give one."""
    bytes_ = "BLOB" if dialect == "sqlite" else "BYTEA"
    # An answer may be long: this table keeps row numbers.
    yield f"""CREATE TABLE replays (
        id TEXT PRIMARY KEY, print TEXT NOT NULL, claim TEXT NOT NULL, owner TEXT NOT NULL,
        expires_ms BIGINT NOT NULL, answer {bytes_})"""
    yield "CREATE INDEX replays_by_end ON replays (expires_ms)"
    yield "CREATE INDEX replays_claimed ON replays (owner) WHERE answer IS NULL"


def keep_old_secrets(dialect: Dialect) -> Iterator[str]:
    """The previous secret of a key, and until when it is valid."""
    del dialect
    yield "ALTER TABLE keys ADD COLUMN old_hash TEXT"
    yield "ALTER TABLE keys ADD COLUMN old_until_ms BIGINT"


def find_foreign_ids(dialect: Dialect) -> Iterator[str]:
    """Requests by an id that does not begin as their decision's does: callers' own ids."""
    del dialect
    yield f"CREATE INDEX requests_by_foreign_id ON requests (request_id) WHERE {FOREIGN_ID}"


def keep_what_is_beside_text(dialect: Dialect) -> Iterator[str]:
    """The cost of a call beside its text tokens: searches, audio. Few calls have a row here."""
    end = " WITHOUT ROWID" if dialect == "sqlite" else ""
    yield f"""CREATE TABLE beside_text (
        id TEXT NOT NULL, n INT NOT NULL, cost BIGINT NOT NULL, PRIMARY KEY (id, n)){end}"""
    yield from _append_only_triggers(dialect, "beside_text")


HOURLY = (
    "requests",
    "answered",
    "blocked",
    "estimated",
    "released",
    "stand_in",
    "cost",
    "extra",
    "extra_calls",
    "unknown_calls",
    "input",
    "cache_read",
    "cache_write",
    "output",
    "reasoning",
    "rated",
    "quality_ppm",
)
TWINS = ("requests", "unknown", "unfit", "cost", "actual", "rated", "quality_ppm")

MIGRATIONS: tuple[Migration, ...] = (
    create_accounts,
    create_reports,
    forbid_changes,
    create_budgets,
    create_replays,
    keep_old_secrets,
    find_foreign_ids,
    keep_what_is_beside_text,
)


def pending_migrations(applied: Sequence[str], where: str) -> tuple[Migration, ...]:
    """The migrations still to run on a ledger where ``applied`` have been.

    Raises ConfigError when the ledger was written by a newer version.
    """
    known = [migration.__name__ for migration in MIGRATIONS]
    unknown = [name for name in applied if name not in known]
    if unknown or list(applied) != known[: len(applied)]:
        raise ConfigError(
            f"{where} was written by a newer version of Turnout (it has {unknown or applied}); "
            "update Turnout or use another ledger"
        )
    return MIGRATIONS[len(applied) :]

"""``python -m benchmarks.ledger``: how many requests are settled a second, how fast, how large.

Prints machine, versions, the disk's own time for a sync, and medians with spread.
``--rows N`` sets the size at which queries are timed (1,000,000), ``--json`` prints JSON.
"""

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.machine import describe, print_machine, spread, timed
from turnout.core import Decision, Outcome, Request
from turnout.ledger import Ledger, latest_requests, pack, request_details, savings
from turnout.ledger.account import settlement
from turnout.ledger.entries import Decided, Hold
from turnout.ledger.pricing import call_of
from turnout.ledger.rows import Batch
from turnout.ledger.sqlite import SqliteStore
from turnout.ledger.twins import extremes_of
from turnout.proving.workload import BOUNDS, RULES, request, request_ids

Served = tuple[Request, Decision, Sequence[Outcome]]

HALF_RATE = 1_500
_DAY_MS = 86_400_000
TARGETS = {
    "settled requests a second, FULL": ">= 3,000",
    "hold plus settle at half load, ms": "p99 <= 5",
    "accounting, bytes a request": "<= 600",
    "decision, bytes a request": "<= 1,500",
    "list, ms": "<= 300",
    "show, ms": "<= 300",
    "savings by intent, ms": "<= 300",
    "savings by day, last week, ms": "<= 300",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory(dir=".") as folder:
        figures["the disk's own fdatasync, ms"] = _disk_sync_ms(Path(folder))
        figures |= _settlement_rates(Path(folder), chosen.requests)
        figures["the disk's own fdatasync after, ms"] = _disk_sync_ms(Path(folder))
        figures |= _size_and_query_times(Path(folder), chosen.rows)
    if chosen.json:
        print(json.dumps({"machine": describe("apsw", "orjson"), "figures": figures}, indent=2))
        return
    print_machine("apsw", "orjson")
    for name, figure in figures.items():
        print(f"{name:<40}{_formatted(figure):<56}{TARGETS.get(name, '')}")


def _disk_sync_ms(folder: Path) -> dict[str, float]:
    """Milliseconds of one fdatasync after 32 KiB, in a file that has its size already."""
    path = folder / "sync"
    path.write_bytes(bytes(2**20))
    descriptor = os.open(path, os.O_RDWR)
    place = iter(range(10**6))

    def once() -> None:
        os.pwrite(descriptor, bytes(2**15), next(place) % 32 * 2**15)
        os.fdatasync(descriptor)

    found = spread([us / 1e3 for us in timed(once, rounds=200)])
    os.close(descriptor)
    return found


def _settlement_rates(folder: Path, count: int) -> dict[str, object]:
    served_requests = [request(ident, random.Random(ident)) for ident in request_ids(1, 2 * count)]
    store = SqliteStore(folder / "rate.db")
    with Ledger(store, catalog=RULES.catalog) as ledger:
        # The log grows to its size once; after that it is overwritten.
        asyncio.run(_settle_at_full_rate(ledger, iter(served_requests[: count // 4]), []))
        started, taken = time.perf_counter(), list[float]()
        asyncio.run(_settle_at_full_rate(ledger, iter(served_requests[count // 4 : count]), taken))
        rate = len(taken) / (time.perf_counter() - started)
        waits = asyncio.run(_settle_at_half_rate(ledger, iter(served_requests[count:])))
    return {
        "settled requests a second, FULL": rate,
        "hold plus settle flat out, ms": spread([s * 1e3 for s in taken]),
        "hold plus settle at half load, ms": spread([s * 1e3 for s in waits]),
    }


async def _settle_at_full_rate(
    ledger: Ledger, served_requests: Iterator[Served], taken: list[float]
) -> None:
    async def task() -> None:
        for one in served_requests:
            seconds = await _settle_seconds(ledger, one)
            taken.append(seconds)

    await asyncio.gather(*(task() for _ in range(256)))


async def _settle_at_half_rate(ledger: Ledger, served_requests: Iterator[Served]) -> list[float]:
    """Arrivals at half the target rate, whether or not the earlier ones are done."""
    started, running = time.perf_counter(), list[asyncio.Task[float]]()
    for place, one in enumerate(served_requests):
        delay = started + place / HALF_RATE - time.perf_counter()
        if delay > 0:
            await asyncio.sleep(delay)
        running.append(asyncio.create_task(_settle_seconds(ledger, one)))
    return list(await asyncio.gather(*running))


async def _settle_seconds(ledger: Ledger, served: Served) -> float:
    """Seconds that a request waits for its hold and for its settlement."""
    request_, decision, calls = served
    started = time.perf_counter()
    await ledger.decided(request_, decision, BOUNDS)
    held = time.perf_counter() - started
    for call in calls:
        await ledger.attempted(call)
    started = time.perf_counter()
    await ledger.settled(decision)
    return held + time.perf_counter() - started


def _size_and_query_times(folder: Path, rows: int) -> dict[str, object]:
    """A ledger of ``rows`` requests over sixty days: its size, and the time of queries."""
    store = SqliteStore(folder / "size.db")
    first_ms = 1_800_000_000_000
    last_ms = first_ms + 60 * _DAY_MS
    ids, records = _fill_store(store, rows, first_ms, last_ms)
    whole = (folder / "size.db").stat().st_size
    one = random.Random(1).choice(ids)
    questions = {
        "list, ms": lambda: latest_requests(store, limit=50),
        "list of one intent, ms": lambda: latest_requests(store, limit=50, intent="code"),
        "show, ms": lambda: request_details(store, one),
        "savings by intent, ms": lambda: savings(store, by="intent", now_ms=last_ms),
        "savings by day, last week, ms": lambda: savings(
            store, by="day", since_ms=last_ms - 7 * _DAY_MS, now_ms=last_ms
        ),
    }
    return {
        "rows": rows,
        "accounting, bytes a request": (whole - records) / rows,
        "decision, bytes a request": records / rows,
        **{
            name: spread([us / 1e3 for us in timed(ask, rounds=20, warm_up=2)])
            for name, ask in questions.items()
        },
    }


def _fill_store(
    store: SqliteStore, rows: int, first_ms: int, last_ms: int
) -> tuple[list[str], int]:
    """Writes the requests; the ids of their decisions, and the bytes of all records."""
    store.open()
    ids: list[str] = []
    records = 0
    step_ms = (last_ms - first_ms) // rows
    for start in range(0, rows, 2_000):
        batch = Batch()
        for place, ident in enumerate(request_ids(start, min(2_000, rows - start))):
            served = request(ident, random.Random(place % 97))
            records += _add_request(batch, served, first_ms + (start + place) * step_ms)
            ids.append(served[1].id)
        store.commit((), lambda _: batch.statements([]))  # noqa: B023 -- called at once
    store.close()
    return ids, records


def _add_request(batch: Batch, served: Served, at_ms: int) -> int:
    """A request's rows as the ledger writes them; the bytes of its record."""
    request_, decision, calls = served
    hold = Hold(id=decision.id, request_id=request_.id, at_ms=at_ms, amount_pico_usd=10**12,
                lease_until_ms=at_ms + 900_000, owner="1-0000")  # fmt: skip
    record = pack(request_, decision)
    batch.add(Decided(hold=hold, intent=decision.intent, model=decision.model,
                      deployment=decision.deployment, blocked=False, tenant="tenant-1",
                      session=None, record=record))  # fmt: skip
    recorded = [(c, call_of(c, n, RULES.catalog, None)) for n, c in enumerate(calls)]
    end = settlement(
        decision,
        recorded,
        unwritten=[call for _, call in recorded],
        catalog=RULES.catalog,
        extremes=extremes_of(RULES.catalog),
        stand_in=None,
        at_ms=at_ms + 900,
        decided_ms=at_ms,
    )
    batch.add(end)
    return len(record)


def _formatted(value: object) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{name} {number:.2f}" for name, number in value.items())
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)


if __name__ == "__main__":
    main()

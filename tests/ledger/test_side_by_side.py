"""Several ledgers on one file at once, none of which knew of the others: gateways side by side."""

import asyncio
import os
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import pytest

from tests.ledger.money import CATALOG, USD, asked, at_most, decided, outcome, tell, traffic
from turnout.core import Bound, Budget, BudgetExceeded, ConfigError, LedgerError, Usage
from turnout.ledger import Ledger, every, store_at, verify
from turnout.ledger.charges import Limits
from turnout.ledger.remote import RemoteWriter
from turnout.ledger.store import Owned

BUDGET = Limits([Budget(per="all", window="total", unit="usd", limit=USD)])
# A process of its own: holds a dollar's two thirds, says so, and lives until it is killed.
_HOLDS = """
import asyncio, signal, sys
from tests.ledger.money import CATALOG, USD, asked, decided
from turnout.core import Bound, Budget
from turnout.ledger import Ledger, store_at
from turnout.ledger.charges import Limits
async def hold():
    ledger = Ledger(store_at(sys.argv[1]), catalog=CATALOG, idle_s=0.1)
    ledger.limit_by(Limits([Budget(per="all", window="total", unit="usd", limit=USD)]))
    request = asked(int(sys.argv[2]))
    await ledger.decided(request, decided(request), {"large": Bound(USD * 2 // 3, 10)})
    print("held", flush=True)
    signal.pause()
asyncio.run(hold())
"""


def _ledger(path: Path, idle_s: float | None = 2.0) -> Ledger:
    found = Ledger(store_at(path), catalog=CATALOG, idle_s=idle_s)
    found.limit_by(BUDGET)
    return found


def _holder(path: Path, number: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _HOLDS, str(path), str(number)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


async def _until(ledger: Ledger, sql: str, value: int) -> None:
    until = time.monotonic() + 20
    while ledger.fetch(sql) != [(value,)]:
        assert time.monotonic() < until, ledger.fetch(sql)
        await asyncio.sleep(0.05)


async def test_both_write_at_once(tmp_path: Path) -> None:
    """Requests that last longer than anybody would wait: each is there once, and all adds up."""
    path = tmp_path / "ledger.db"
    told = list(traffic(200))
    ledgers = [Ledger(store_at(path), catalog=CATALOG) for _ in range(3)]
    await asyncio.gather(*(tell(ledgers[n % 3], one) for n, one in enumerate(told)))
    assert sorted(line.id for line in every(store_at(path))) == sorted(t.decision.id for t in told)
    assert verify(store_at(path)) == []
    for ledger in ledgers:
        await asyncio.to_thread(ledger.close)


async def test_what_one_holds_the_other_cannot_have(tmp_path: Path) -> None:
    """A budget is one for them all, and each settles what it holds."""
    one, other = (_ledger(tmp_path / "ledger.db") for _ in range(2))
    requests = [asked(n) for n in range(2)]
    decisions = [decided(request) for request in requests]
    bounds = {"large": Bound(USD * 2 // 3, 10)}
    await one.decided(requests[0], decisions[0], bounds)
    with pytest.raises(BudgetExceeded) as refused:
        await other.decided(requests[1], decisions[1], bounds)
    assert [s.held for s in refused.value.standings] == [USD * 2 // 3]
    await one.attempted(outcome(decisions[0], Usage(input=10)))
    await one.settled(decisions[0])
    await other.decided(requests[1], decisions[1], bounds)
    for ledger in (one, other):
        await asyncio.to_thread(ledger.close)


@pytest.mark.parametrize("killed", [False, True])
async def test_when_the_owner_ends_another_goes_on(tmp_path: Path, *, killed: bool) -> None:
    """What it holds stays held, what the owner held is freed if it was killed."""
    path = tmp_path / "ledger.db"
    owner = _holder(path, 91) if killed else None
    first = None if killed else _ledger(path).start()
    guest = Ledger(store_at(path), catalog=CATALOG)
    told = next(traffic(1, 1))
    await guest.decided(told.request, told.decision, at_most(USD))
    assert not guest.store._lock  # type: ignore[attr-defined] -- the other one has the file
    if owner is not None:
        _end(owner)
    elif first is not None:
        await asyncio.to_thread(first.close)
    await _until(guest, "SELECT count(*) FROM holds", 1)
    await guest.attempted(told.outcomes[-1])
    await guest.settled(told.decision)
    await _until(guest, "SELECT count(*) FROM holds", 0)
    done = "SELECT count(*) FROM settlements WHERE state <> 'released'"
    assert guest.fetch(done) == [(1,)]
    assert verify(guest.store) == []
    await asyncio.to_thread(guest.close)


async def test_an_owner_that_comes_later_waits_for_those_of_the_last_one(tmp_path: Path) -> None:
    """What a living process holds is not freed when the owner that it wrote through is killed."""
    path = tmp_path / "ledger.db"
    owner = _holder(path, 91)
    guest = Ledger(store_at(path), catalog=CATALOG)
    request = asked(7)
    await guest.decided(request, decided(request), at_most(USD // 100))
    third = Ledger(store_at(path), catalog=CATALOG)
    _end(owner)
    await asyncio.to_thread(third.start)
    await _until(third, "SELECT count(*) FROM holds", 1)
    assert third.fetch("SELECT owner FROM holds") == [(guest.owners.own,)]
    for ledger in (guest, third):
        await asyncio.to_thread(ledger.close)


async def test_a_killed_guest_frees_what_it_held_and_an_owner_alone_at_once(tmp_path: Path) -> None:
    """Its connection ends with it; the file of a lone owner is nobody else's."""
    path = tmp_path / "ledger.db"
    ledger = _ledger(path, None).start()
    guest = _holder(path, 91)
    assert ledger.fetch("SELECT count(*) FROM holds") == [(1,)]
    _end(guest)
    await _until(ledger, "SELECT count(*) FROM holds", 0)
    await asyncio.to_thread(ledger.close)
    _end(_holder(path, 92))
    with _ledger(path) as next_one:
        assert next_one.fetch("SELECT count(*) FROM holds") == [(0,)]


def test_a_wrong_secret_writes_nothing(tmp_path: Path) -> None:
    """The socket is not enough."""
    with Ledger(store_at(tmp_path / "ledger.db"), catalog=CATALOG):
        socket = next(tmp_path.glob("*.socket"))
        with pytest.raises(LedgerError, match="does not answer"):
            RemoteWriter(Owned("", str(socket), b"another"), "me", print, deque())
        lock = tmp_path / "ledger.db.lock"
        assert lock.stat().st_mode & 0o077 == 0


async def test_a_clock_set_forward_frees_no_hold_of_a_living_guest(tmp_path: Path) -> None:
    """The lease has not passed; one that a guest forgot is freed a lease later all the same."""
    ahead_ms = 0

    def wall_ms() -> int:
        return time.time_ns() // 1_000_000 + ahead_ms

    store = store_at(tmp_path / "ledger.db")
    owner = Ledger(store, catalog=CATALOG, lease_s=4, now_ms=wall_ms).start()
    guest = Ledger(store_at(tmp_path / "ledger.db"), catalog=CATALOG)
    request = asked(0)
    await guest.decided(request, decided(request), at_most(USD))
    ahead_ms = 3_600_000
    assert owner._lapsed(None) == []
    assert store.fetch("SELECT count(*) FROM holds") == [(1,)]
    await _until(owner, "SELECT count(*) FROM holds", 0)
    for ledger in (guest, owner):
        await asyncio.to_thread(ledger.close)


def test_another_version_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may speak otherwise: the line names it and the ways out."""
    from turnout.ledger import sign

    path = tmp_path / "ledger.db"
    with Ledger(store_at(path), catalog=CATALOG):
        monkeypatch.setattr(sign, "own_version", lambda: "9.9.9")
        other = Ledger(store_at(path, lock_wait_s=0.1), catalog=CATALOG)
        with pytest.raises(ConfigError, match=rf"pid {os.getpid()}, Turnout \d.*name another file"):
            other.start()
    assert not list(tmp_path.glob("*.socket"))

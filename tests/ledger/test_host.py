"""Several processes on one file: its owner writes what the others send."""

import asyncio
import os
import signal
import threading
import time
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

import pytest

from tests.ledger.money import (
    CATALOG,
    USD,
    ReportedRequest,
    bounds_up_to,
    decided,
    failed,
    make_request,
    outcome,
    report_request,
    traffic,
)
from tests.waiting import soon, soon_here
from turnout.core import Bound, Budget, BudgetExceeded, LedgerError, Usage
from turnout.ledger import Ledger, all_requests, store_at, verify
from turnout.ledger.charges import Limits
from turnout.ledger.directory import NO_CHANGE
from turnout.ledger.host import LedgerHost

SECRET = b"a secret of this test"


def _owner(folder: Path) -> tuple[Ledger, LedgerHost]:
    ledger = Ledger(store_at(folder / "ledger.db"), catalog=CATALOG)
    host = LedgerHost(ledger, str(folder / "socket"), SECRET)
    return ledger.start(), host


def _guest(folder: Path, secret: bytes = SECRET) -> Ledger:
    return Ledger(
        store_at(folder / "ledger.db"), catalog=CATALOG, shared=(str(folder / "socket"), secret)
    )


async def test_what_guests_tell_is_written_by_the_owner(tmp_path: Path) -> None:
    """Two guests and three hundred requests: each there once, and all adds up."""
    owner, host = _owner(tmp_path)
    reported = list(traffic(300))
    guests = [_guest(tmp_path), _guest(tmp_path)]
    await asyncio.gather(*(report_request(guests[n % 2], one) for n, one in enumerate(reported)))
    assert sorted(line.id for line in all_requests(owner.store)) == sorted(
        t.decision.id for t in reported
    )
    assert verify(owner.store) == []
    for guest in guests:
        await asyncio.to_thread(guest.close)
    host.close()
    await asyncio.to_thread(owner.close)


async def test_a_budget_holds_across_processes(tmp_path: Path) -> None:
    """What one guest holds, the other one cannot have."""
    owner, host = _owner(tmp_path)
    guests = [_guest(tmp_path), _guest(tmp_path)]
    for guest in guests:
        guest.use_limits(Limits([Budget(per="all", window="total", unit="usd", limit=USD)]))
    requests = [make_request(n) for n in range(2)]
    decisions = [decided(request) for request in requests]
    bounds = {"large": Bound(USD * 2 // 3, 10)}
    await guests[0].decided(requests[0], decisions[0], bounds)
    with pytest.raises(BudgetExceeded) as refused:
        await guests[1].decided(requests[1], decisions[1], bounds)
    (standing,) = refused.value.standings
    assert (standing.spent, standing.held) == (0, USD * 2 // 3)
    await guests[0].attempted(outcome(decisions[0], Usage(input=10)))
    await guests[0].settled(decisions[0])
    await guests[1].decided(requests[1], decisions[1], bounds)
    for guest in guests:
        await asyncio.to_thread(guest.close)
    host.close()
    await asyncio.to_thread(owner.close)


def test_what_a_killed_guest_held_is_freed(tmp_path: Path) -> None:
    """Its connection ends with it; no lease has to pass."""
    child = os.fork()
    if child == 0:
        while not (tmp_path / "socket").exists():
            time.sleep(0.05)
        asyncio.run(_hold_for_ever(tmp_path))
    owner, host = _owner(tmp_path)
    assert soon(lambda: owner.store.fetch("SELECT count(*) FROM holds") == [(1,)])
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert soon(lambda: owner.store.fetch("SELECT count(*) FROM holds") == [(0,)])
    host.close()
    owner.close()


async def _hold_for_ever(folder: Path) -> None:
    request = make_request(1)
    await _guest(folder).decided(request, decided(request), bounds_up_to(USD))
    signal.pause()


async def test_without_its_owner_nothing_is_promised_and_nothing_is_lost(tmp_path: Path) -> None:
    """A hold fails at once; a settlement is written when an owner is back."""
    owner, host = _owner(tmp_path)
    guest = _guest(tmp_path)
    reported = next(traffic(1, 1))
    await guest.decided(reported.request, reported.decision, bounds_up_to(USD))
    host.close()
    await asyncio.to_thread(owner.close)
    (tmp_path / "socket").unlink(missing_ok=True)
    await asyncio.sleep(0.3)
    other = make_request(7)
    with pytest.raises(LedgerError):
        await guest.decided(other, decided(other), bounds_up_to(USD))
    await guest.attempted(reported.outcomes[-1])
    with pytest.raises(LedgerError):
        await guest.settled(reported.decision)
    owner, host = _owner(tmp_path)
    done = "SELECT count(*) FROM settlements WHERE state <> 'released'"
    assert await soon_here(lambda: owner.store.fetch(done) == [(1,)])
    await asyncio.to_thread(guest.close)
    host.close()
    await asyncio.to_thread(owner.close)


class _LosesItsOwner:
    """An entry whose connection is closed by another thread while it is packed."""

    def __init__(self, guest: Ledger, host: LedgerHost) -> None:
        self._guest, self._host = guest, host

    def __reduce__(self) -> tuple[type[int], tuple[()]]:
        self._host.close()
        assert soon(lambda: self._guest._writer._host is None)
        return int, ()


def test_a_guest_whose_owner_ends_while_it_sends_goes_on_with_the_next(tmp_path: Path) -> None:
    """The entry fails, and the thread that sends lives."""
    owner, host = _owner(tmp_path)
    guest = _guest(tmp_path).start()
    ticket = guest._inbox.submit(_LosesItsOwner(guest, host))  # type: ignore[arg-type]
    assert soon(lambda: ticket.is_resolved)
    with pytest.raises(LedgerError, match="owner does not answer"):
        ticket.wait()
    host = LedgerHost(owner, str(tmp_path / "socket"), SECRET)
    done = guest._inbox.submit(NO_CHANGE)
    assert soon(lambda: done.is_resolved)
    done.wait()
    guest.close()
    host.close()
    owner.close()


def test_a_guest_that_is_being_accepted_when_the_host_closes_is_disconnected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait for an owner that writes nothing any more."""
    accepted, closed = threading.Event(), threading.Event()

    class SlowListener(Listener):
        def accept(self) -> Connection:
            connection = super().accept()
            accepted.set()
            closed.wait(30)
            return connection

    monkeypatch.setattr("turnout.ledger.host.Listener", SlowListener)
    owner, host = _owner(tmp_path)
    link = Client(str(tmp_path / "socket"), "AF_UNIX", authkey=SECRET)
    assert accepted.wait(30)
    host.close()
    closed.set()
    assert link.poll(30)
    with pytest.raises((EOFError, OSError)):
        link.recv()
    owner.close()


async def test_a_wrong_secret_writes_nothing(tmp_path: Path) -> None:
    """The socket is not enough."""
    owner, host = _owner(tmp_path)
    guest = _guest(tmp_path, b"another")
    with pytest.raises(LedgerError):
        await report_request(guest, ReportedRequest(make_request(1), decided(make_request(1)), ()))
    host.close()
    await asyncio.to_thread(owner.close)


async def test_a_guest_whose_hold_a_new_owner_freed_takes_nothing_from_the_others(
    tmp_path: Path,
) -> None:
    """It was not back in time, and goes on: no budget is left with less than nothing held."""
    owner, host = _owner(tmp_path)
    guest = _guest(tmp_path)
    guest.use_limits(Limits([Budget(per="all", window="total", unit="usd", limit=10 * USD)]))
    request = make_request(1)
    decision = decided(request)
    plan = {"large": Bound(USD, 100), "small": Bound(USD, 100)}
    await guest.decided(request, decision, plan)
    host.close()
    await asyncio.to_thread(owner.close)
    with Ledger(store_at(tmp_path / "ledger.db"), catalog=CATALOG):
        pass  # frees the holds of all processes that it does not know
    owner, host = _owner(tmp_path)
    await soon_here(lambda: len(owner.owners.guests) == 1)
    await guest.attempted(failed(decision, Usage(input=10)))
    await guest.attempted(outcome(decision, Usage(input=20), route=1))
    await guest.settled(decision)
    cost = owner.store.fetch("SELECT sum(cost) FROM calls")[0][0]
    assert owner.store.fetch("SELECT spent, held FROM balances") == [(cost, 0)]
    await asyncio.to_thread(guest.close)
    host.close()
    await asyncio.to_thread(owner.close)


async def test_a_clock_set_forward_frees_no_hold_of_a_living_guest(tmp_path: Path) -> None:
    """The lease has not passed; one that a guest forgot is freed a lease later all the same."""
    ahead_ms = 0

    def wall_ms() -> int:
        return time.time_ns() // 1_000_000 + ahead_ms

    store = store_at(tmp_path / "ledger.db")
    owner = Ledger(store, catalog=CATALOG, lease_s=4, now_ms=wall_ms)
    host = LedgerHost(owner, str(tmp_path / "socket"), SECRET)
    owner.start()
    guest = Ledger(
        store_at(tmp_path / "ledger.db"),
        catalog=CATALOG,
        shared=(str(tmp_path / "socket"), SECRET),
    )
    request = make_request(0)
    await guest.decided(request, decided(request), bounds_up_to(USD))
    ahead_ms = 3_600_000
    assert owner._releases(None) == []
    assert store.fetch("SELECT count(*) FROM holds") == [(1,)]
    assert await soon_here(lambda: store.fetch("SELECT count(*) FROM holds") == [(0,)])
    await asyncio.to_thread(guest.close)
    host.close()
    await asyncio.to_thread(owner.close)

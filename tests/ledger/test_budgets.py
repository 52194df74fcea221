"""Budgets, keys and windows in both databases."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from msgspec import structs

from tests.ledger.conftest import MakeStore
from tests.ledger.money import CATALOG, decided, failed, label_call, make_request, outcome
from turnout.core import (
    Bound,
    Budget,
    BudgetExceeded,
    Caller,
    LedgerError,
    Request,
    Route,
    Usage,
    window_of,
)
from turnout.ledger import Ledger, latest_requests, standings, store_at, verify
from turnout.ledger.balances import Account
from turnout.ledger.charges import Limits
from turnout.ledger.directory import budget_removal, budget_update
from turnout.ledger.keys import key_creation, key_revocation, new_key
from turnout.ledger.store import BuildStatements, StoreFailure
from turnout.ledger.writer import RECOVERY_PAUSE_S

MOST = 1_000_000_000  # pico-dollars of one call
BUDGETS = (
    Budget(per="all", window="total", unit="usd", limit=20 * MOST),
    Budget(per="key", window="total", unit="usd", limit=12 * MOST),
    Budget(per="key", name="b", window="total", unit="usd", limit=4 * MOST),
    Budget(per="model", window="day", unit="requests", limit=10**6),
)


async def test_two_writers_do_not_pass_the_wall_together(make_store: MakeStore) -> None:
    """Two hundred at once by one or two owners: never more is spent and held than allowed."""
    ledgers = [Ledger(make_store(), catalog=CATALOG)]
    if not ledgers[0].store.exclusive:
        ledgers.append(Ledger(make_store(), catalog=CATALOG))
    for ledger in ledgers:
        ledger.use_limits(Limits(BUDGETS))
        ledger.start()
    ends = await asyncio.gather(*(_spend_one(ledgers[n % len(ledgers)], n) for n in range(200)))
    store = make_store()
    for account, spent, held in store.fetch("SELECT account, spent, held FROM balances"):
        limit = {"all:all:usd": 20, "key:a:usd": 12, "key:b:usd": 4}.get(account)
        assert held == 0
        assert limit is None or spent <= limit * MOST, account
    assert set(ends) == {True, False}
    for ledger in ledgers:
        await asyncio.to_thread(ledger.close)


async def _spend_one(ledger: Ledger, number: int) -> bool:
    request = make_request(number, caller=Caller(key="ab"[number % 2], keys=("ab"[number % 2],)))
    decision = decided(request)
    try:
        await ledger.decided(request, decision, {"large": Bound(MOST, 100)})
    except BudgetExceeded as error:
        full = all(s.spent + s.held + MOST > s.budget.limit for s in error.standings)
        if not full:
            raise
        return False
    await asyncio.sleep(0.001)
    await ledger.attempted(outcome(decision, Usage(input=number % 100)))
    await ledger.settled(decision)
    return True


async def test_the_numbers_shown_are_those_that_refuse(make_store: MakeStore) -> None:
    """A refusal's standing is what the list shows."""
    budget = Budget(per="all", window="month", unit="tokens", limit=150)
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        ledger.use_limits(Limits([budget]))
        request, other = make_request(1), make_request(2)
        first, second = decided(request), decided(other)
        await ledger.decided(request, first, {"large": Bound(MOST, 100)})
        with pytest.raises(BudgetExceeded) as refused:
            await ledger.decided(other, second, {"large": Bound(MOST, 100)})
        (request_details,) = standings(ledger.store, [budget], _now_ms())
        (said,) = refused.value.standings
        assert said.as_dict() == request_details.as_dict()
        assert (said.spent, said.held, said.left) == (0, 100, 50)
        await ledger.settled(first)


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


async def test_a_model_of_unknown_price_is_refused_within_a_budget(make_store: MakeStore) -> None:
    """Unknown is the worst case, whatever is left."""
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        ledger.use_limits(Limits([Budget(per="all", window="total", unit="usd", limit=10**18)]))
        request = make_request(1)
        with pytest.raises(BudgetExceeded, match="unknown price"):
            await ledger.decided(request, decided(request), {"large": Bound(None, 1)})


def test_keys_and_budgets_are_seen_by_another_process(make_store: MakeStore) -> None:
    """Made, revoked, set and removed in one, known in the other after a look."""
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        other = Ledger(make_store(), catalog=CATALOG)
        secret, key = new_key(name="ci", models=["fast"], now_ms=1)
        child, low = new_key(name="child", parent=key.id, models=["fast", "strong"], now_ms=2)
        budget = Budget(per="team", name="x", window="week", unit="usd", limit=7)
        ledger.change(key_creation(key), key_creation(low), budget_update(budget, 3))
        assert other.directory is not None
        other.directory.refresh(1.0)
        found = other.directory.caller(_digest(child), 1.0, 5)
        assert found is not None
        assert (found.models, found.keys) == (frozenset({"fast"}), (low.id, key.id))
        assert other.directory.budgets == (budget,)
        ledger.change(key_revocation(key.id, 9), budget_removal(budget.id))
        other.directory.refresh(2.0)
        assert other.directory.caller(_digest(secret), 2.0, 10) is None
        assert other.directory.caller(_digest(child), 2.0, 10) is None
        assert other.directory.budgets == ()
        other.close()


def _digest(secret: str) -> bytes:
    from turnout.core.caller import key_hash

    return key_hash(secret)


def test_windows_follow_each_other_without_gap_for_ten_years() -> None:
    """Each ends where the next one begins, whatever the clock's zone did meanwhile."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for window in ("hour", "day", "week", "month"):
        at, seen = start, set[str]()
        while at < start + timedelta(days=3653 if window != "hour" else 60):
            name, ends_ms = window_of(window, int(at.timestamp() * 1000))  # type: ignore[arg-type]
            assert name not in seen
            assert ends_ms is not None
            before = window_of(window, ends_ms - 1)  # type: ignore[arg-type]
            assert before == (name, ends_ms)
            seen.add(name)
            at = datetime.fromtimestamp(ends_ms / 1000, UTC)
    assert window_of("total", 5) == ("total", None)


def test_a_session_of_the_same_name_is_each_tenants_own() -> None:
    """What one spends in it, the other one still has."""
    limits = Limits([Budget(per="session", window="total", unit="usd", limit=1)])
    accounts = {
        limits.charges(_in_session(tenant), {"m": Bound(1, 1)}, (), 0)[0].account
        for tenant in ("team:a", "team:b")
    }
    assert len(accounts) == 2


async def test_a_session_is_budgeted_by_its_name_whoever_it_is_of(make_store: MakeStore) -> None:
    """Each tenant's session of that name has all of it, another session has no such budget."""
    budget = Budget(per="session", name="s", window="total", unit="requests", limit=1)
    limits = Limits([budget])
    in_it = [limits.charges(_in_session(t), {}, (), 0) for t in ("team:a", "key:k/1")]
    assert [[c.subject for c in charges] for charges in in_it] == [["team:a/s"], ["key:k/1/s"]]
    assert not limits.charges(make_request(1, session="t", tenant="team:a"), {}, (), 0)
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        ledger.use_limits(limits)
        assert [s.subject for s in standings(ledger.store, [budget], 0)] == ["s"]
        request = _in_session("team:a")
        await ledger.decided(request, decided(request), {"large": Bound(1, 1)})
        other = make_request(2, session="ss", tenant="team:a")
        ledger.use_limits(Limits([replace(budget, name=None)]))
        await ledger.decided(other, decided(other), {"large": Bound(1, 1)})
        assert [(s.subject, s.held) for s in standings(ledger.store, [budget], 0)] == [
            ("team:a/s", 1)
        ]


async def test_a_models_requests_are_those_that_it_was_called_for(make_store: MakeStore) -> None:
    """What only stood in the plan as a fallback had none, though one was held for it."""
    limits = [Budget(per="model", window="total", unit="requests", limit=1)]
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        ledger.use_limits(Limits(limits))
        request = make_request(1)
        decision = decided(request)
        await ledger.decided(request, decision, {"large": Bound(1, 1), "mid": Bound(1, 1)})
        assert _balances(ledger) == {"model:large:requests": (0, 1), "model:mid:requests": (0, 1)}
        await ledger.attempted(outcome(decision, Usage(input=1)))
        await ledger.settled(decision)
        assert _balances(ledger) == {"model:large:requests": (1, 0), "model:mid:requests": (0, 0)}


async def test_a_label_counts_for_its_model_that_may_not_answer(make_store: MakeStore) -> None:
    """What was asked for the label is spent, whether or not its model is in the plan."""
    limits = [Budget(per="model", window="total", unit="usd", limit=MOST)]
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        ledger.use_limits(Limits(limits))
        request = make_request(1)
        decision = decided(request)
        await ledger.held(request, decision.id, {"small": Bound(MOST, 100)})
        await ledger.attempted(label_call(decision, Usage(input=10)))
        await ledger.decided(request, decision, {"large": Bound(MOST, 100)})
        cost = 10 * CATALOG.deployments["small"].price.rates.input  # type: ignore[union-attr]
        assert _balances(ledger) == {"model:large:usd": (0, MOST), "model:small:usd": (0, cost)}
        await ledger.settled(decision)
        assert _balances(ledger) == {"model:large:usd": (0, 0), "model:small:usd": (cost, 0)}


async def test_a_verdict_of_a_model_whose_budget_is_full_stops_no_request(
    make_store: MakeStore,
) -> None:
    """It is paid already; the plan that goes on is another model's."""
    budgets = [
        Budget(per="model", name=name, window="total", unit="usd", limit=limit)
        for name, limit in (("mid", 0), ("large", 10 * MOST))
    ]
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        ledger.use_limits(Limits(budgets))
        request = make_request(1)
        decision = decided(request)
        await ledger.decided(request, decision, {"large": Bound(MOST, 100)})
        judge = Route("mid", "acme/mid", "acme", "verifier", 0)
        verdict = outcome(decision, Usage(input=10))
        await ledger.attempted(structs.replace(verdict, route=judge))
        await ledger.attempted(outcome(decision, Usage(input=10)))
        await ledger.settled(decision)
        spent = {account: spent for account, (spent, _) in _balances(ledger).items()}
        assert spent["model:large:usd"] > 0


async def test_a_label_is_a_request_of_its_model_though_nobody_may_answer(
    make_store: MakeStore,
) -> None:
    """Its key had none: what it asked for was not carried out."""
    limits = [Budget(per=per, window="total", unit="requests", limit=5) for per in ("all", "model")]
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        ledger.use_limits(Limits(limits))
        request = make_request(1)
        decision = structs.replace(decided(request), routes=())
        await ledger.held(request, decision.id, {"small": Bound(MOST, 100)})
        await ledger.attempted(label_call(decision, Usage(input=10)))
        await ledger.decided(request, decision)
        await ledger.settled(decision)
        assert _balances(ledger) == {"all:all:requests": (0, 0), "model:small:requests": (1, 0)}


def _balances(ledger: Ledger) -> dict[str, tuple[int, int]]:
    rows = ledger.store.fetch("SELECT account, spent, held FROM balances")
    return {account: (spent, held) for account, spent, held in rows}


def _in_session(tenant: str) -> Request:
    return make_request(1, session="s", tenant=tenant)


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_hold_that_was_changed_unheard_leaves_no_ghost(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    """Whatever was written, nothing stays held, and what was spent is what the calls cost."""
    store = make_store()
    commit = store.commit

    def commits_and_is_not_heard(accounts: Sequence[Account], build: BuildStatements) -> None:
        commit(accounts, build)
        monkeypatch.undo()
        store.close()
        raise StoreFailure("the answer was lost")

    with Ledger(store, catalog=CATALOG) as ledger:
        ledger.use_limits(Limits(BUDGETS))
        request = make_request(1, caller=Caller(key="a", keys=("a",)))
        decision = decided(request)
        await ledger.decided(request, decision, {"large": Bound(MOST, 100)})
        for _ in range(lost):
            monkeypatch.setattr(store, "commit", commits_and_is_not_heard)
            with pytest.raises(LedgerError):
                await ledger.attempted(failed(decision, Usage(input=10)))
            await asyncio.sleep(RECOVERY_PAUSE_S)
        await ledger.settled(decision)
        rows = store.fetch("SELECT account, spent, held FROM balances WHERE account LIKE '%usd'")
        spent = store.fetch("SELECT sum(cost) FROM calls")[0][0]
    assert sorted(rows) == [("all:all:usd", spent, 0), ("key:a:usd", spent, 0)]


@pytest.mark.parametrize("held_again", [False, True])
async def test_a_request_that_outlives_its_lease_counts_as_any_other(
    make_store: MakeStore, *, held_again: bool
) -> None:
    """Its hold is freed; every call that ends later is recorded, and counts in every budget."""
    limits = [
        Budget(per=per, window="total", unit=unit, limit=10**15)
        for per in ("all", "model")
        for unit in ("usd", "tokens", "requests")
    ]
    of_hour: list[tuple[int, ...]] = []
    found, now_ms = [], partial(next, count(1_800_000_000_000))
    for number, lease_s in enumerate((900, 0)):
        with Ledger(make_store(), catalog=CATALOG, lease_s=lease_s, now_ms=now_ms) as ledger:
            ledger.use_limits(Limits(limits))
            request = make_request(number)
            decision = decided(request)
            plan = {"large": Bound(MOST, 100), "small": Bound(MOST, 100)}
            await ledger.decided(request, decision, plan)
            await ledger.attempted(label_call(decision, Usage(input=3, output=1)))
            await ledger.attempted(failed(decision, Usage(input=10)))
            for release in ledger._releases(None):
                await ledger._inbox.submit(release, asyncio.get_running_loop()).written()
            if held_again:
                await ledger.attempted(failed(decision, Usage(input=10, output=1)))
            await ledger.attempted(outcome(decision, Usage(input=20, output=2), route=1))
            await ledger.settled(decision)
            states = ledger.store.fetch(
                "SELECT count(*) FROM settlements WHERE id = $1", (decision.id,)
            )
            assert states == [(1 if lease_s else 2,)]
            assert verify(ledger.store) == []
            (line, *_) = latest_requests(ledger.store)
            assert (
                line.cost_pico_usd
                == ledger.store.fetch(
                    "SELECT CAST(sum(cost) AS BIGINT) FROM calls WHERE id = $1", (decision.id,)
                )[0][0]
            )
            of_hour += ledger.store.fetch(
                "SELECT CAST(sum(cost) AS BIGINT), CAST(sum(extra) AS BIGINT), "
                "CAST(sum(extra_calls) AS BIGINT), CAST(sum(unknown_calls) AS BIGINT) FROM hourly"
            )
            found.append(_balances(ledger))
    assert of_hour[1] == tuple(2 * number for number in of_hour[0])
    once, twice = found
    assert twice == {account: (2 * spent, 0) for account, (spent, _) in once.items()}


async def test_a_hold_that_another_process_freed_meanwhile_is_not_freed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the file could not be written, a command had it for a moment."""
    store = store_at(tmp_path / "ledger.db")

    def fails(*_: object) -> None:
        monkeypatch.undo()
        raise StoreFailure("the disk is full")

    with Ledger(store, catalog=CATALOG) as ledger:
        ledger.use_limits(Limits(BUDGETS))
        request = make_request(1)
        decision = decided(request)
        await ledger.decided(request, decision, {"large": Bound(MOST, 100)})
        monkeypatch.setattr(store, "commit", fails)
        with pytest.raises(LedgerError):
            await ledger.check_writable()
        with Ledger(store_at(tmp_path / "ledger.db"), catalog=CATALOG):
            pass
        await asyncio.sleep(RECOVERY_PAUSE_S)
        await ledger.attempted(failed(decision, Usage(input=10)))
        await ledger.settled(decision)
        spent = store.fetch("SELECT sum(cost) FROM calls")[0][0]
        assert _balances(ledger)["all:all:usd"] == (spent, 0)


async def test_what_was_held_again_after_a_release_is_released_again(
    make_store: MakeStore,
) -> None:
    """The request outlived its lease, tried another model, and then its process died."""
    now_ms = partial(next, count(1_800_000_000_000))
    with Ledger(make_store(), catalog=CATALOG, lease_s=0, now_ms=now_ms) as ledger:
        ledger.use_limits(Limits(BUDGETS))
        request = make_request(1)
        decision = decided(request)
        await ledger.decided(request, decision, {"large": Bound(MOST, 100)})
        for failure in (Usage(input=10), Usage(input=20)):
            for _ in range(2):  # as two processes would
                for release in ledger._releases(None):
                    await ledger._inbox.submit(release, asyncio.get_running_loop()).written()
            assert _balances(ledger)["all:all:usd"][1] == 0
            await ledger.attempted(failed(decision, failure))
            assert _balances(ledger)["all:all:usd"][1] > 0
        for release in [*ledger._releases(None)] * 2:
            await ledger._inbox.submit(release, asyncio.get_running_loop()).written()
        spent = ledger.store.fetch("SELECT sum(cost) FROM calls")[0][0]
        assert _balances(ledger)["all:all:usd"] == (spent, 0)
        assert verify(ledger.store) == []


def test_standings_read_what_budgets_name_and_each_window_once(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many windows there were: a minute's rows are kept for good."""
    rows = [("key:a:requests", "old", 7, 0), ("team:t:usd", "total", 5, 1)]
    rows += [("key:a:requests", "total", 2, 0), ("key:b:requests", "total", 3, 0)]
    rows += [("key:a:tokens", "total", 9, 0), ("all:all:usd", "total", 4, 0)]
    every = Budget(per="key", window="total", unit="requests", limit=100)
    team = Budget(per="team", name="t", window="total", unit="usd", limit=100)
    budgets = [
        every, replace(every, unit="tokens"), replace(every, name="a"), team,
        replace(team, name="nobody"), Budget(per="all", window="total", unit="usd", limit=100),
        Budget(per="all", window="total", unit="tokens", limit=100),
    ]  # fmt: skip
    store = make_store()
    store.open()
    store.commit((), lambda _: [("INSERT INTO balances VALUES ($1, $2, $3, $4)", rows)])
    queries, fetch = [], store.fetch
    monkeypatch.setattr(
        store, "fetch", lambda sql, row=(): queries.append((sql, row)) or fetch(sql, row)
    )
    found = standings(store, budgets, 0)
    store.close()
    assert [(s.subject, s.spent, s.held) for s in found] == [
        ("a", 2, 0), ("b", 3, 0), ("a", 9, 0), ("a", 2, 0), ("t", 5, 1), ("nobody", 0, 0),
        ("all", 4, 0), ("all", 0, 0),
    ]  # fmt: skip
    assert [row for _, row in queries if len(row) == 1] == [("total",)]


def test_balances_of_windows_long_past_are_removed(make_store: MakeStore) -> None:
    """Not those that something is held of, nor any that a clock set back could ask for."""
    now = datetime(2026, 3, 3, 12, 30, tzinfo=UTC)
    kept = [
        ("minute", timedelta(hours=24)), ("hour", timedelta(hours=24)), ("day", timedelta(days=32)),
        ("week", timedelta(days=32)), ("month", timedelta(days=32)), ("total", timedelta(0)),
    ]  # fmt: skip
    gone = [("minute", timedelta(hours=25)), ("hour", timedelta(hours=26))]
    gone += [("day", timedelta(days=34)), ("week", timedelta(days=40))]
    gone.append(("month", timedelta(days=62)))
    named = [
        {window_of(window, int((now - ago).timestamp() * 1000))[0] for window, ago in which}
        for which in (kept, gone)
    ]
    rows = [("all:all:usd", id_, 5, 0) for id_ in named[0] | named[1]]
    rows += [("key:a:usd", id_, 5, 1) for id_ in named[1]]
    store = make_store()
    with Ledger(store, catalog=CATALOG, now_ms=lambda: int(now.timestamp() * 1000)) as ledger:
        store.commit((), lambda _: [("INSERT INTO balances VALUES ($1, $2, $3, $4)", rows)])
        for change in ledger._upkeep(opening=False):
            ledger.change(change)
        assert not ledger._upkeep(opening=False)
    left = store.fetch("SELECT account, win FROM balances")
    assert {win for account, win in left if account == "all:all:usd"} == named[0]
    assert {win for account, win in left if account == "key:a:usd"} == named[1]

"""Requests told to a ledger are there, once, and add up."""

import asyncio
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
from msgspec import structs

from tests.ledger.conftest import MakeStore
from tests.ledger.money import (
    CATALOG,
    USD,
    ReportedRequest,
    bounds_up_to,
    decided,
    failed,
    label_call,
    make_request,
    outcome,
    report_request,
    traffic,
)
from turnout.catalog import Catalog
from turnout.core import InvalidRequest, LedgerError, Usage
from turnout.ledger import (
    Ledger,
    all_requests,
    decision_of,
    latest_requests,
    pack,
    request_details,
    store_at,
    verify,
)
from turnout.ledger.orphans import release_of_stored
from turnout.ledger.queries import _BY_FOREIGN_ID, find_id


async def test_a_hold_is_there_before_anything_can_be_spent(make_store: MakeStore) -> None:
    """When decided returns, another connection sees the hold and its bound."""
    request = make_request(1)
    decision = decided(request)
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        await ledger.decided(request, decision, bounds_up_to(7 * USD))
        assert make_store().fetch("SELECT id, amount FROM holds") == [(decision.id, 7 * USD)]
        assert [line.state for line in latest_requests(make_store())] == ["held"]
        await ledger.settled(decision)


async def test_a_hold_of_more_than_a_database_can_hold_has_no_bound(
    make_store: MakeStore,
) -> None:
    """A request for a billion answers is one like any other, as long as no budget is too small."""
    request = make_request(1)
    decision = decided(request)
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        await ledger.decided(request, decision, bounds_up_to(2**63))
        assert make_store().fetch("SELECT id, amount FROM holds") == [(decision.id, None)]
        await ledger.settled(decision)


async def test_settled_means_written(make_store: MakeStore) -> None:
    """When settled returns, the cost is there and the hold is gone."""
    request = make_request(1)
    decision = decided(request)
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        answer = outcome(decision, Usage(input=100, output=10))
        await report_request(ledger, ReportedRequest(request, decision, (answer,)))
        (line,) = latest_requests(make_store())
        # 100 tokens at $10 and 10 tokens at $30 a million.
        assert (line.state, line.cost_pico_usd) == ("settled", 1_000_000_000 + 300_000_000)
        assert make_store().fetch("SELECT count(*) FROM holds") == [(0,)]


async def test_a_settlement_is_kept_when_its_waiter_is_cancelled(make_store: MakeStore) -> None:
    """A caller who leaves while the end is written does not undo it."""
    reported = next(traffic(1, 1))
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        await ledger.decided(reported.request, reported.decision, bounds_up_to(USD))
        for call in reported.outcomes:
            await ledger.attempted(call)
        waiter = asyncio.ensure_future(ledger.settled(reported.decision))
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
    (line,) = latest_requests(make_store())
    assert line.state in {"settled", "estimated"}
    assert verify(make_store()) == []


async def test_a_settlement_is_kept_though_its_hold_was_still_being_written(
    make_store: MakeStore,
) -> None:
    """A caller who leaves at once does not keep the end from following the hold."""
    reported = next(traffic(1, 1))
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        hold = ledger.decided(reported.request, reported.decision, bounds_up_to(USD))
        holding = asyncio.ensure_future(hold)
        await asyncio.sleep(0)
        waiter = asyncio.ensure_future(ledger.settled(reported.decision))
        waiter.cancel()
        await holding
    (line,) = latest_requests(make_store())
    assert line.state == "settled"


async def test_a_cache_that_lasts_an_hour_is_billed_as_one(make_store: MakeStore) -> None:
    """At twice a fresh token, by a price of its own, which the sums are checked against."""
    request = make_request(1)
    decision = decided(request)
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        answer = outcome(decision, Usage(cache_write=100, output=10, hour_cache=True))
        await report_request(ledger, ReportedRequest(request, decision, (answer,)))
        (line,) = latest_requests(make_store())
        # 100 tokens at twice $10 and 10 tokens at $30 a million.
        assert line.cost_pico_usd == 2_000_000_000 + 300_000_000
        assert verify(make_store()) == []


async def test_tools_that_are_paid_by_the_call_make_the_cost_unknown(
    make_store: MakeStore,
) -> None:
    """Whether tokens were counted or not; the ledger's own check agrees."""
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        for number, used in enumerate((Usage(input=100, unpriced=True), Usage(unpriced=True))):
            decision = decided(make_request(number))
            answer = outcome(decision, used)
            await report_request(ledger, ReportedRequest(make_request(number), decision, (answer,)))
        assert [line.cost_pico_usd for line in latest_requests(make_store())] == [None, None]
        assert verify(make_store()) == []


async def test_what_is_beside_text_is_billed_where_it_has_a_price(make_store: MakeStore) -> None:
    """Searches and sound, which the ledger's own check adds to the tokens; else it is unknown."""
    priced = {
        place.id: replace(
            place, price=replace(place.price, search=7, audio_input=10**8, audio_output=10**8)
        )
        for place in CATALOG.deployments.values()
        if place.price is not None
    }
    # 100 tokens at $10 and 10 at $30 a million; sound at $100.
    text = 1_000_000_000 + 300_000_000
    uses = [
        (Usage(input=100, output=10, searches=3), text + 21),
        (
            Usage(input=100, output=10, audio_input=40, audio_output=5),
            text + 3_600_000_000 + 350_000_000,
        ),
    ]
    with Ledger(make_store(), catalog=Catalog(deployments=priced)) as ledger:
        for number, (used, _) in enumerate(uses):
            decision = decided(make_request(number))
            answer = outcome(decision, used)
            await report_request(ledger, ReportedRequest(make_request(number), decision, (answer,)))
        costs = [line.cost_pico_usd for line in latest_requests(make_store())]
        assert sorted(map(str, costs)) == sorted(str(cost) for _, cost in uses)
        assert verify(make_store()) == []
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        decision = decided(make_request(9))
        answer = outcome(decision, Usage(input=100, searches=1))
        await report_request(ledger, ReportedRequest(make_request(9), decision, (answer,)))
        assert latest_requests(make_store())[0].cost_pico_usd is None
        assert verify(make_store()) == []


async def test_every_call_is_a_row(make_store: MakeStore) -> None:
    """Label, failed attempt and answer are rows of their own, linked to the request."""
    request = make_request(1)
    decision = decided(request)
    calls = (
        label_call(decision, Usage(input=80, output=2)),
        failed(decision, Usage(input=40, estimated=True)),
        outcome(decision, Usage(input=100, output=10), route=1),
    )
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        await report_request(ledger, ReportedRequest(request, decision, calls))
    found = request_details(make_store(), request.id)
    assert [c["role"] for c in found["calls"]] == ["classifier", "primary", "fallback"]
    assert [c["cost"] for c in found["calls"]] == [84 * 10**6, 40 * 10**7, 120 * 10**6]
    assert found["cost_pico_usd"] == sum(c["cost"] for c in found["calls"])
    assert found["state"] == "estimated"


async def test_a_failed_call_is_durable_before_the_next(make_store: MakeStore) -> None:
    """A retry starts only when what the failure cost is written."""
    request = make_request(1)
    decision = decided(request)
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        await ledger.decided(request, decision, bounds_up_to(USD))
        await ledger.attempted(failed(decision, Usage(input=9)))
        assert make_store().fetch("SELECT n, input FROM calls") == [(0, 9)]
        await ledger.settled(decision)


async def test_many_requests_add_up(make_store: MakeStore) -> None:
    """300 requests at once: each there once, sums equal rows, and verify finds nothing."""
    reported = list(traffic(300))
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        await asyncio.gather(*(report_request(ledger, one) for one in reported))
    store = make_store()
    assert sorted(line.id for line in all_requests(store)) == sorted(
        t.decision.id for t in reported
    )
    assert verify(store) == []


async def test_rows_cannot_be_changed(tmp_path: Path) -> None:
    """The database itself refuses to alter what was written."""
    import apsw

    with Ledger(_store(tmp_path), catalog=CATALOG) as ledger:
        await report_request(ledger, next(traffic(1, 1)))
    connection = apsw.Connection(str(tmp_path / "ledger.db"))
    for sql in ("UPDATE calls SET cost = 0", "DELETE FROM settlements"):
        with pytest.raises(apsw.ConstraintError, match="append-only"):
            connection.execute(sql)
    connection.close()


async def test_statements_of_large_batches_are_compiled_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 32 requests at a time, all that is written again and again is compiled by the second."""
    made: list[apsw.Connection] = []
    monkeypatch.setattr(apsw, "connection_hooks", [made.append])
    compiled = []
    with Ledger(store_at(tmp_path / "ledger.db"), catalog=CATALOG) as ledger:
        for start in range(0, 160, 32):
            reported = traffic(32, start)
            await asyncio.gather(*(report_request(ledger, one) for one in reported))
            compiled.append(made[0].cache_stats()["misses"])
    assert compiled[-1] == compiled[1]


async def test_the_decision_comes_back(make_store: MakeStore) -> None:
    """The stored record is the decision, and holds no text."""
    reported = next(traffic(1, 1))
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        await report_request(ledger, reported)
    request, decision = decision_of(make_store(), reported.request.id)
    assert decision == reported.decision
    assert pack(request, decision) == pack(reported.request, reported.decision)
    assert b"secret" not in pack(reported.request, reported.decision)


async def test_feedback_is_kept_beside_its_request(make_store: MakeStore) -> None:
    """Feedback is found with the request; an unknown decision is refused by name."""
    reported = next(traffic(1, 1))
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        await report_request(ledger, reported)
        await ledger.feedback(reported.decision.id, "thumbs", 1.0)
        with pytest.raises(InvalidRequest, match="d_nothing"):
            await ledger.feedback("d_nothing", "thumbs", 1.0)
    (said,) = request_details(make_store(), reported.decision.id)["feedback"]
    assert (said["metric"], said["value_micro"]) == ("thumbs", 1_000_000)


async def test_opinions_of_one_millisecond_are_all_kept(make_store: MakeStore) -> None:
    """In one batch and in the next; the sums count what is there."""
    reported = next(traffic(1, 1))
    opinions = [("thumbs", 1.0), ("thumbs", 0.0), ("thumbs", 1.0), ("stars", 4.0)]
    with Ledger(make_store(), catalog=CATALOG, now_ms=lambda: 1_800_000_000_000) as ledger:
        await report_request(ledger, reported)
        for _ in range(2):
            given = [ledger.feedback(reported.decision.id, *opinion) for opinion in opinions]
            await asyncio.gather(*given)
    store = make_store()
    assert store.fetch("SELECT metric, count(*) FROM feedback GROUP BY metric ORDER BY 1") == [
        ("stars", 2),
        ("thumbs", 6),
    ]
    assert store.fetch("SELECT metric, number FROM opinions ORDER BY 1") == [
        ("stars", 2),
        ("thumbs", 6),
    ]


async def test_one_id_is_one_request(make_store: MakeStore) -> None:
    """The same id twice is refused, and the other requests of its batch are not."""
    first, second = traffic(2, 1)
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        await report_request(ledger, first)
        results = await asyncio.gather(
            ledger.decided(first.request, first.decision, bounds_up_to(1)),
            ledger.decided(second.request, second.decision, bounds_up_to(1)),
            return_exceptions=True,
        )
        await ledger.settled(second.decision)
    assert isinstance(results[0], LedgerError)
    assert results[1] is None
    assert verify(make_store()) == []


async def test_a_lapsed_hold_frees_itself_and_a_late_settlement_still_counts(
    make_store: MakeStore,
) -> None:
    """A lease that ran out is released; the settlement that comes after adds what is missing."""
    now = 1_800_000_000_000
    reported = next(traffic(1, 1))
    store = make_store()
    slow = Ledger(store, catalog=CATALOG, now_ms=lambda: now, lease_s=60)
    slow.start()
    await slow.decided(reported.request, reported.decision, bounds_up_to(USD))
    await slow.attempted(reported.outcomes[0])
    released = release_of_stored(slow.store, next(iter(slow._open.values())).hold, slow.now_ms())
    await slow._inbox.submit(released, asyncio.get_running_loop()).written()
    assert [line.state for line in latest_requests(make_store())] == ["released"]
    await slow.settled(reported.decision)
    slow.close()
    (line,) = latest_requests(make_store())
    found = request_details(make_store(), reported.decision.id)
    assert line.state in {"settled", "estimated"}
    assert sum(s["cost"] for s in found["settlements"]) == sum(c["cost"] for c in found["calls"])
    assert verify(make_store()) == []


async def test_a_new_owner_frees_the_holds_of_a_dead_one(tmp_path: Path) -> None:
    """A process that died leaves its hold; the next one releases it, whatever the clock says."""
    request = make_request(1)
    decision = decided(request)
    first = Ledger(_store(tmp_path), catalog=CATALOG).start()
    await first.decided(request, decision, bounds_up_to(USD))
    first.close()
    # The clock went back a year: the lease would hold, but its owner is gone.
    with Ledger(_store(tmp_path), catalog=CATALOG, now_ms=lambda: 1_700_000_000_000):
        pass
    (line,) = latest_requests(_store(tmp_path))
    assert (line.state, line.held_pico_usd) == ("released", USD)
    assert _store(tmp_path).fetch("SELECT count(*) FROM holds") == [(0,)]
    assert verify(_store(tmp_path)) == []


async def test_a_hold_without_a_decision_can_be_abandoned(make_store: MakeStore) -> None:
    """A label was paid for, then the request failed: its cost stays, its hold goes."""
    request = make_request(1)
    decision = decided(request)
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        await ledger.held(request, decision.id, bounds_up_to(USD))
        await ledger.attempted(label_call(decision, Usage(input=80, output=2)))
        await ledger.abandoned(decision.id)
    (line,) = latest_requests(make_store())
    assert (line.request_id, line.state, line.cost_pico_usd) == (
        "r_000000000001000000000001",
        "released",
        84 * 10**6,
    )
    assert verify(make_store()) == []


async def test_another_served_model_is_billed_at_its_own_price(make_store: MakeStore) -> None:
    """The served model's price counts, and the difference is an event."""
    request = make_request(1)
    decision = decided(request)
    served = outcome(decision, Usage(input=100, output=10), model="acme/mid")
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        await report_request(ledger, ReportedRequest(request, decision, (served,)))
    found = request_details(make_store(), decision.id)
    assert found["cost_pico_usd"] == 100 * 3_000_000 + 10 * 6_000_000
    assert found["events"][0]["kind"] == "served_model"
    assert found["prices"][0]["model"] == "acme/mid"


async def test_an_unknown_price_is_unknown_and_never_zero(make_store: MakeStore) -> None:
    """A model nobody knows answered: the cost is unknown, and the sums say so."""
    request = make_request(1)
    decision = decided(request)
    served = outcome(decision, Usage(input=100, output=10), model="other/unheard-of")
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        await report_request(ledger, ReportedRequest(request, decision, (served,)))
    found = request_details(make_store(), decision.id)
    assert found["cost_pico_usd"] is None
    assert found["calls"][0]["cost"] is None
    assert found["settlements"][0]["unknown_calls"] == 1


async def test_a_dated_release_is_the_same_model(make_store: MakeStore) -> None:
    """``large-2026-01-01`` is ``large``: no event, its price."""
    request = make_request(1)
    decision = decided(request)
    served = outcome(decision, Usage(input=100, output=10), model="acme/Large-2026-01-01")
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        await report_request(ledger, ReportedRequest(request, decision, (served,)))
    found = request_details(make_store(), decision.id)
    assert (found["events"], found["cost_pico_usd"]) == ([], 1_300_000_000)


async def test_an_empty_catalogue_still_records_unknown(tmp_path: Path) -> None:
    """A deployment that left the configuration has no price any more: unknown, not zero."""
    reported = next(traffic(1, 1))
    with Ledger(_store(tmp_path), catalog=Catalog(deployments={})) as ledger:
        await ledger.decided(reported.request, reported.decision, bounds_up_to(None))
        await ledger.attempted(reported.outcomes[-1])
        await ledger.settled(reported.decision)
    assert latest_requests(_store(tmp_path))[0].cost_pico_usd is None


def _store(folder: Path):  # noqa: ANN202 -- a store of either kind
    from turnout.ledger.sqlite import SqliteStore

    return SqliteStore(folder / "ledger.db", lock_wait_s=0.2)


@pytest.mark.apt
async def test_several_writers_share_one_server(postgres_url: str) -> None:
    """Two ledgers on one Postgres at once: nothing lost, the shared sums right, no hold freed."""
    stores = [store_at(f"{postgres_url}/postgres") for _ in range(2)]
    with Ledger(stores[0], catalog=CATALOG) as one, Ledger(stores[1], catalog=CATALOG) as other:
        await asyncio.gather(
            *(report_request(one, reported) for reported in traffic(150)),
            *(report_request(other, reported) for reported in traffic(150, 1000)),
        )
    reader = store_at(f"{postgres_url}/postgres")
    assert len(list(all_requests(reader))) == 300
    assert verify(reader) == []
    reader.close()


async def test_a_request_is_found_by_whatever_id_it_came_with(tmp_path: Path) -> None:
    """Its own or its decision's; none is looked for through all of them."""
    store = store_at(tmp_path / "ledger.db")
    with Ledger(store, catalog=CATALOG) as ledger:
        for ident in ("mine", "r_0123456789abcdef01234567", "x" * 300):
            request = structs.replace(make_request(1), id=ident)
            decision = decided(request)
            await report_request(ledger, ReportedRequest(request, decision, ()))
            assert find_id(store, ident) == find_id(store, decision.id) == decision.id
        with pytest.raises(InvalidRequest, match="'other' is not in the ledger"):
            find_id(store, "other")
        plan = str(store.fetch(f"EXPLAIN QUERY PLAN {_BY_FOREIGN_ID}", ("other",)))
    assert "requests_by_foreign_id" in plan
    assert "SCAN" not in plan

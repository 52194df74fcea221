"""From outcomes to rows and sums: pure, to the pico-dollar."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from tests.ledger.money import CATALOG, decided, failed, label_call, make_request, outcome
from turnout.catalog import Catalog, Deployment, Price, Rates
from turnout.core import Fault, Outcome, Usage
from turnout.ledger.account import settlement
from turnout.ledger.correction import correction
from turnout.ledger.entries import Settlement, Use
from turnout.ledger.pricing import call_of, price_from_text, price_row, rates_text
from turnout.ledger.twins import extremes_of

DECISION = decided(make_request(1))
USED = Usage(input=100, cache_read=10, cache_write=5, output=20, reasoning=3)
COST = (105 * 10 + 10 * 1 + 23 * 30) * 10**6  # at the large model's price
STAND_IN = next(iter(CATALOG.deployments.values()))


def settled(
    *outcomes: Outcome,
    catalog: Catalog = CATALOG,
    stand_in: Deployment | None = None,
    decision: Any = DECISION,
) -> Settlement:
    """The settlement of these calls."""
    recorded = [(one, call_of(one, n, catalog, stand_in)) for n, one in enumerate(outcomes)]
    return settlement(
        decision,
        recorded,
        unwritten=[call for _, call in recorded],
        catalog=catalog,
        extremes=extremes_of(catalog),
        stand_in=stand_in,
        at_ms=2,
        decided_ms=1,
        notes=[("note", "said")],
    )


def without_price(name: str) -> Catalog:
    """The catalogue where this one's price is unknown."""
    found = CATALOG.deployments[name]
    return Catalog(deployments={**CATALOG.deployments, name: replace(found, price=None)})


def test_a_call_is_billed_with_the_price_that_billed_it() -> None:
    """All its tokens, its times rounded, and who answered where that was another one."""
    answered = outcome(DECISION, USED, ttft_ms=12.6, latency_ms=99.5, finish_reason="stop")
    call = call_of(answered, 0, CATALOG, None)
    assert (call.cost_pico_usd, call.non_text_pico_usd, call.served) == (COST, 0, None)
    assert (call.ttft_ms, call.latency_ms, call.finish_reason) == (13, 100, "stop")
    assert (call.fault, call.http_status) == (None, None)
    assert call.price is not None
    assert (call.price.model, call.price.provider, len(call.price.id)) == (
        "acme/large",
        "acme",
        12,
    )
    other = call_of(structs.replace(answered, model="acme/small"), 0, CATALOG, None)
    assert (other.served, other.price and other.price.model) == ("acme/small", "acme/small")
    assert other.cost_pico_usd == (105 * 1 + 1 + 23 * 2) * 10**6
    broken = call_of(failed(DECISION, USED), 0, CATALOG, None)
    assert (broken.fault, broken.http_status, broken.ttft_ms) == ("unavailable", 503, None)


@pytest.mark.parametrize(
    ("catalog", "model"),
    [
        (without_price("large"), "acme/large"),
        (CATALOG, "unheard"),
        (Catalog(deployments={}), "acme/large"),
    ],
)
def test_an_unknown_price_is_free_only_where_nothing_was_used(catalog: Catalog, model: str) -> None:
    """No price row, no cost; but a refusal costs nothing at any price."""
    used, refused = (
        call_of(outcome(DECISION, usage, model=model), 0, catalog, None)
        for usage in (USED, Usage())
    )
    assert (used.cost_pico_usd, used.price, used.non_text_pico_usd) == (None, None, 0)
    assert refused.cost_pico_usd == 0
    searched = call_of(outcome(DECISION, Usage(searches=1)), 0, CATALOG, None)
    assert (searched.cost_pico_usd, searched.price) == (None, None)


def test_a_stand_in_is_billed_as_itself_and_named() -> None:
    """A row tells which model was asked for and which answered in its place."""
    free = replace(STAND_IN, price=Price(rates=Rates(input=0, output=0), source="s", date="d"))
    call = call_of(outcome(DECISION, USED, model=free.model), 0, CATALOG, free)
    assert (call.model, call.served, call.cost_pico_usd) == ("acme/large", free.model, 0)
    end = settled(outcome(DECISION, USED, model=free.model), stand_in=free)
    assert (end.stand_in, end.twins) == (True, {})
    assert [event.kind for event in end.events] == ["note"]
    assert not settled(failed(DECISION), stand_in=free).stand_in


def test_a_settlement_sums_all_calls_and_tells_the_answer_apart() -> None:
    """Labels and failures are extra; the answer's tokens are the request's."""
    label, failure = label_call(DECISION, Usage(input=80, output=2)), failed(DECISION, USED)
    answer = outcome(DECISION, USED, route=1)
    end = settled(label, failure, answer)
    assert end.cost_pico_usd == sum(call.cost_pico_usd or 0 for call in end.calls)
    assert end.extra_pico_usd == end.cost_pico_usd - (end.calls[2].cost_pico_usd or 0)
    assert (end.extra_calls, end.unknown_calls, end.state) == (2, 0, "settled")
    assert (end.answered, end.blocked, end.stand_in) == (True, False, False)
    assert (end.model, end.tokens, end.quality_ppm) == ("small", (100, 10, 5, 20, 3), 900_000)
    assert end.twins
    assert [(event.n, event.kind, event.detail) for event in end.events] == [(0, "note", "said")]


def test_who_fails_answers_nothing_unless_something_was_released() -> None:
    """A part of an answer counts as one; a label never does."""
    fault = Fault(kind="interrupted", detail="broke off")
    part = outcome(DECISION, USED, status="failed", error=fault, released=True)
    for calls, answered, extra in (
        ([failed(DECISION, USED)], False, 1),
        ([part], True, 0),
        ([label_call(DECISION, USED)], False, 1),
        ([], False, 0),
    ):
        end = settled(*calls)
        assert (end.answered, end.extra_calls, end.twins != {}) == (answered, extra, answered)
        assert (end.model, end.tokens[0]) == ("large", 100 if answered else 0)
        assert end.extra_pico_usd == (end.cost_pico_usd if extra else 0)
        assert end.quality_ppm == (900_000 if answered else None)
    blocked = settled(decision=decided(make_request(2), unsafe=0.9))
    assert (blocked.blocked, blocked.model, blocked.cost_pico_usd) == (True, "", 0)


def test_an_estimate_and_an_unknown_price_are_said() -> None:
    """One estimated call makes the request one; an unknown cost is counted, and an event."""
    guessed = structs.replace(USED, estimated=True)
    end = settled(failed(DECISION, guessed), outcome(DECISION, USED, route=1))
    assert end.state == "estimated"
    end = settled(outcome(DECISION, USED), catalog=without_price("large"))
    assert (end.cost_pico_usd, end.extra_pico_usd, end.unknown_calls) == (0, 0, 1)
    assert end.events[1].detail == "acme/large has no known price"
    for catalog, more in ((CATALOG, ""), (without_price("small"), ", whose price is unknown")):
        end = settled(outcome(DECISION, USED, model="acme/small"), catalog=catalog)
        assert end.events[1].kind == "served_model"
        assert end.events[1].detail == f"asked for acme/large, served by acme/small{more}"


def test_a_request_of_unknown_cost_is_compared_with_no_other_model() -> None:
    """Also where only a call before its answer is unknown."""
    calls = failed(DECISION, USED), outcome(DECISION, USED, route=1)
    assert settled(*calls, catalog=Catalog(deployments={})).twins == {}
    for catalog, unknown in ((CATALOG, 0), (without_price("large"), 1)):
        end = settled(*calls, catalog=catalog)
        assert {one[1] for one in end.twins.values()} == {unknown}


def test_rates_come_back_from_their_text() -> None:
    """With tiers and without; and a price is another row if anything about it differs."""
    price = Price(
        rates=Rates(input=1, output=2, cache_read=3, cache_write=4),
        tiers=((200, Rates(input=5, output=6)),),
        source="s",
        date="d",
    )
    assert rates_text(price) == "[[1,2,3,4],[200,[5,6,null,null]]]"
    assert price_from_text(rates_text(price)) == replace(price, source="", date="")
    others = [price, replace(price, source="t"), replace(price, date="e"), replace(price, tiers=())]
    rows = {price_row("m", "p", one).id for one in [*others, replace(price, assumed=True)]}
    assert len(rows | {price_row("n", "p", price).id, price_row("m", "q", price).id}) == 7


def test_a_settlement_that_comes_twice_or_late_adds_what_is_missing() -> None:
    """After a release the difference, of every budget; after another settlement nothing."""
    uses = (
        Use("all:all:usd", "w", 900, COST),
        Use("key:k:tokens", "w", 200, 138),
        Use("key:k:requests", "w", 1, 1),
        Use("model:small:usd", "w", 900, COST - 10),
    )
    first, second = ("large", 10, 38), ("small", COST - 10, 100)
    calls = failed(DECISION, USED), outcome(DECISION, USED)
    end = structs.replace(settled(*calls), cost_pico_usd=COST, uses=uses)
    assert correction(end, [], {}) == end
    assert correction(end, [], {0: first}) == structs.replace(end, calls=end.calls[1:])
    released = structs.replace(end, state="released")
    assert correction(released, [], {}) == released
    assert correction(released, [("settled", 0, 0)], {}) is None
    assert correction(end, [("released", 0, 0), ("settled", 3, 0)], {}) is None
    assert correction(end, [("estimated", 3, 0)], {}) is None
    for written in ({0: first}, {0: first, 1: second}):  # the second before the release or after
        late = correction(end, [("released", 10, 0)], written)
        assert late is not None
        assert late.calls == end.calls[len(written) :]
        assert late.cost_pico_usd == COST - 10
        assert [use.spent for use in late.uses] == [COST - 10, 100, 0, COST - 10]
    over = correction(end, [("released", COST + 1, 0)], {0: ("large", COST + 1, 38)})
    assert over is not None
    assert (over.cost_pico_usd, over.uses[0].spent) == (-1, 0)


def test_a_release_counted_a_call_of_unknown_cost_as_all_that_was_held() -> None:
    """It is not counted once more when the settlement comes after it."""
    end = structs.replace(settled(), uses=(Use("all:all:usd", "w", 900, 900),))
    late = correction(end, [("released", 0, 1)], {0: ("large", None, 38)})
    assert late is not None
    assert late.uses == (Use("all:all:usd", "w", 900, 0),)

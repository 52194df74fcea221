"""The savings report equals what an independent computation finds, to the pico-dollar."""

import asyncio
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from tests.ledger.conftest import MakeStore
from tests.ledger.money import (
    CATALOG,
    ReportedRequest,
    decided,
    make_request,
    outcome,
    report_request,
    traffic,
)
from turnout.core import Usage
from turnout.ledger import Ledger, savings
from turnout.ledger.sqlite import SqliteStore

# USD per million tokens: input, output, cached input; and how each model counts 10 tokens.
_PRICES = {"small": (1, 2, "0.1"), "mid": (3, 6, "0.3"), "large": (10, 30, "1")}


def _pico(model: str, fresh: int, cached: int, out: int) -> int:
    """Dollars first, exactly; pico-dollars at the very end."""
    price = [Fraction(p) / 10**6 for p in _PRICES[model]]
    usd = fresh * price[0] + out * price[1] + cached * price[2]
    pico = usd * 10**12
    assert pico.denominator == 1
    return pico.numerator


def _scaled_prompt(model: str, prompt: int) -> Fraction:
    if model == "small":
        return Fraction(prompt + prompt // 10)
    return Fraction(prompt) * (Fraction(6, 5) if model == "large" else 1)


def _actual_cost(reported: Sequence[ReportedRequest]) -> int:
    return sum(
        _pico(
            "small" if o.route.role == "classifier" else o.route.deployment,
            o.usage.input,
            o.usage.cache_read,
            o.usage.output + o.usage.reasoning,
        )
        for one in reported
        for o in one.outcomes
    )


def _single_model_cost(model: str, reported: Sequence[ReportedRequest]) -> int:
    """What ``model`` would have cost for every answer of the traffic."""
    total = 0
    for one in reported:
        if one.decision.blocked:
            continue
        final = one.outcomes[-1]
        used, served = final.usage, final.route.deployment
        prompt = one.decision.features.input_tokens["o200k_base"]
        ratio = _scaled_prompt(model, prompt) / _scaled_prompt(served, prompt)
        read = math.ceil(used.cache_read * ratio)
        fresh = math.ceil((used.input + used.cache_read) * ratio) - read
        total += _pico(model, fresh, read, math.ceil((used.output + used.reasoning) * ratio))
    return total


async def test_a_recorded_run_of_1000_requests(make_store: MakeStore) -> None:
    """Actual, strongest, cheapest and each single model agree with the plain computation."""
    reported = list(traffic(1000))
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        await asyncio.gather(*(report_request(ledger, one) for one in reported))
    total = savings(make_store()).total
    assert total.sums["requests"] == 1000
    assert total.sums["cost"] == _actual_cost(reported)
    for name in _PRICES:
        assert total.baselines[name].cost_pico_usd == _single_model_cost(name, reported)
    assert total.strongest is not None
    assert total.cheapest is not None
    assert total.strongest.cost_pico_usd == _single_model_cost("large", reported)
    assert total.cheapest.cost_pico_usd == _single_model_cost("small", reported)
    assert total.sums["blocked"] == sum(t.decision.blocked is not None for t in reported)


async def test_groups_sum_to_the_whole(tmp_path: Path) -> None:
    """By intent, by model and by day, the groups add up to the total."""
    reported = list(traffic(200))
    with Ledger(_store(tmp_path), catalog=CATALOG) as ledger:
        await asyncio.gather(*(report_request(ledger, one) for one in reported))
    for by in ("intent", "model", "day"):
        report = savings(_store(tmp_path), by=by)
        assert sum(g.sums["cost"] for g in report.groups) == report.total.sums["cost"]
        assert sum(g.strongest.cost_pico_usd for g in report.groups if g.strongest) == (
            report.total.strongest.cost_pico_usd if report.total.strongest else 0
        )


async def test_extra_calls_make_the_saving_smaller(tmp_path: Path) -> None:
    """A label's cost is on the actual side only: one request to the strongest saves less than 0."""
    from tests.ledger.money import label_call

    request = make_request(1)
    decision = decided(request)
    calls = (label_call(decision, Usage(input=80, output=2)), outcome(decision, Usage(input=9)))
    with Ledger(_store(tmp_path), catalog=CATALOG) as ledger:
        await report_request(ledger, ReportedRequest(request, decision, calls))
    strongest = savings(_store(tmp_path)).total.strongest
    assert strongest is not None
    assert strongest.saved_pico_usd == -84 * 10**6


async def test_best_single_is_as_good_as_routing_and_the_cheapest_such(tmp_path: Path) -> None:
    """Half small (0.5), half large (0.9) expects 0.7: the mid model is the best single one."""
    reported = [_plain_request(number, ("code", "chat")[number % 2]) for number in range(10)]
    with Ledger(_store(tmp_path), catalog=CATALOG) as ledger:
        await asyncio.gather(*(report_request(ledger, one) for one in reported))
    total = savings(_store(tmp_path)).total
    assert total.quality == pytest.approx(0.7)
    assert total.best_single is not None
    assert total.best_single.name == "mid"


async def test_a_session_that_moved_loses_its_cache_and_a_twin_does_not(tmp_path: Path) -> None:
    """The second turn went elsewhere: at one model, the first prompt would have been cached."""
    first, second = make_request(1, session="s"), make_request(2, session="s")
    to_large, to_small = decided(first, "code"), decided(second, "chat")
    used = Usage(input=100, output=0)
    reported = [
        ReportedRequest(first, to_large, (outcome(to_large, used),)),
        ReportedRequest(second, to_small, (outcome(to_small, used),)),
    ]
    with Ledger(_store(tmp_path), catalog=CATALOG) as ledger:
        for one in reported:
            await report_request(ledger, one)
    mid = savings(_store(tmp_path)).total.baselines["mid"]
    # Turn one: 100 of large's tokens are 84 of mid's. Turn two: 100 of small's are 91, all cached.
    assert mid.cost_pico_usd == _pico("mid", 84, 0, 0) + _pico("mid", 0, 91, 0)


async def test_a_stand_in_saves_nothing(tmp_path: Path) -> None:
    """Answers of a free stand-in are compared with nothing, and counted apart."""
    one = _plain_request(1, "code")
    stand_in = CATALOG.deployments["small"]
    with Ledger(_store(tmp_path), catalog=CATALOG, stand_in=stand_in) as ledger:
        await report_request(ledger, one)
    total = savings(_store(tmp_path)).total
    assert total.baselines == {}
    assert total.sums["stand_in"] == 1


async def test_an_unknown_price_is_left_out_of_both_sides(tmp_path: Path) -> None:
    """What cannot be priced is counted as unknown, and does not look like a saving."""
    request = make_request(1)
    decision = decided(request)
    served = outcome(decision, Usage(input=100, output=10), model="other/unheard-of")
    with Ledger(_store(tmp_path), catalog=CATALOG) as ledger:
        await report_request(ledger, ReportedRequest(request, decision, (served,)))
    strongest = savings(_store(tmp_path)).total.strongest
    assert strongest is not None
    assert (strongest.unknown, strongest.requests, strongest.cost_pico_usd) == (1, 0, 0)


async def test_feedback_stands_beside_the_savings(tmp_path: Path) -> None:
    """The mean of each metric is in the report, by group."""
    reported = [_plain_request(number, ("code", "chat")[number % 2]) for number in range(4)]
    with Ledger(_store(tmp_path), catalog=CATALOG) as ledger:
        for place, one in enumerate(reported):
            await report_request(ledger, one)
            await ledger.feedback(one.decision.id, "thumbs", float(place % 2))
    report = savings(_store(tmp_path), by="intent")
    assert {g.key: g.feedback for g in report.groups} == {
        "chat": {"thumbs": (1.0, 2)},
        "code": {"thumbs": (0.0, 2)},
    }


async def test_the_forecast_continues_the_last_days(tmp_path: Path) -> None:
    """Ten equal days of a thirty-day month: three times as much is expected, with no spread."""
    day_ms, start_ms = 86_400_000, 1_793_491_200_000  # 2026-11-01, a Sunday, UTC
    clock = [start_ms]
    ledger = Ledger(_store(tmp_path), catalog=CATALOG, now_ms=lambda: clock[0]).start()
    for day in range(10):
        clock[0] = start_ms + day * day_ms + 1000
        await report_request(ledger, _plain_request(day, "code"))
    ledger.close()
    found = savings(_store(tmp_path), now_ms=start_ms + 10 * day_ms).forecast
    assert found is not None
    assert (found.month, found.expected_pico_usd) == ("2026-11", 3 * found.spent_pico_usd)
    assert found.low_pico_usd == found.high_pico_usd == found.expected_pico_usd


async def test_one_day_is_no_spread(tmp_path: Path) -> None:
    """A forecast from less than two days claims no range."""
    start_ms = 1_793_491_200_000
    ledger = Ledger(_store(tmp_path), catalog=CATALOG, now_ms=lambda: start_ms).start()
    await report_request(ledger, _plain_request(1, "code"))
    ledger.close()
    for days in (0.5, 1.5):
        found = savings(_store(tmp_path), now_ms=start_ms + int(days * 86_400_000)).forecast
        assert found is not None
        assert found.expected_pico_usd > found.spent_pico_usd
        assert (found.low_pico_usd, found.high_pico_usd) == (None, None)


def _plain_request(number: int, intent: str) -> ReportedRequest:
    request = make_request(number)
    decision = decided(request, intent)
    used = Usage(input=100, output=10)
    return ReportedRequest(request, decision, (outcome(decision, used),))


def _store(folder: Path) -> SqliteStore:
    return SqliteStore(folder / "ledger.db")

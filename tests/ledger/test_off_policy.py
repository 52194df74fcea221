"""The feedback of other rules is estimated without bias, and not from too few requests."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from msgspec import structs

from tests.ledger.money import (
    CATALOG,
    ReportedRequest,
    decided,
    make_request,
    outcome,
    report_request,
    rules,
)
from turnout.core import Decision, Snapshot, Usage
from turnout.decision import Rulebook, decide
from turnout.evaluation.off_policy import Estimate, Sample, estimate, weight
from turnout.evaluation.redeciding import compare, decide_again, opinions_in
from turnout.ledger import Ledger
from turnout.ledger.sqlite import SqliteStore
from turnout.policies import Cascade, Fixed, IntentMap, Random, Weighted

_SPLIT = replace(rules(), policy=Weighted(weights={"small": 3.0, "large": 1.0}))
# How often each model is liked, by intent: the large one only for code.
_LIKED = {("small", "chat"): 0.9, ("small", "code"): 0.3, ("large", "chat"): 0.8,
          ("large", "code"): 0.9}  # fmt: skip


def _decision(number: int, by: Rulebook, intent: str = "code") -> Decision:
    request = make_request(number)
    seen = decided(request, intent)
    return decide(request, seen.features, seen.prediction, Snapshot(), by)


def _fixed(model: str) -> Rulebook:
    return replace(rules(), policy=Fixed(deployment=model))


def _estimate(values: Sequence[float], weights: Sequence[float]) -> Estimate:
    """Each request in a session of its own."""
    pairs = enumerate(zip(values, weights, strict=True))
    return estimate("thumb", [Sample(value, w, str(n)) for n, (value, w) in pairs])


def test_the_weight_is_the_ratio_of_the_propensities() -> None:
    """Of the model, whichever deployment; 0 for what the other rules never do."""
    then = _decision(1, _SPLIT)
    share = 0.75 if then.deployment == "small" else 0.25
    chosen = str(then.deployment)
    assert weight(then, then) == 1.0
    assert weight(then, _decision(1, _fixed(chosen))) == pytest.approx(1 / share)
    assert weight(then, _decision(1, _fixed("mid"))) == 0.0
    drawn = _decision(1, replace(rules(), policy=Random()))
    assert weight(then, drawn) == pytest.approx(1 / 3 / share)
    assert weight(then, None) == 0.0
    assert weight(then, structs.replace(then, routes=())) == 0.0
    assert weight(structs.replace(then, routes=()), then) == 0.0
    drafted = _decision(1, replace(rules(), policy=Cascade(steps=2)))
    answered = _decision(1, _fixed("mid"))
    assert drafted.routes[0].role == "draft"
    assert weight(drafted, drafted) == 1.0
    assert weight(drafted, answered) == weight(answered, drafted) == 0.0


def test_an_estimate_by_hand() -> None:
    """Weighted mean, spread and effective number; none below thirty."""
    found = _estimate([1.0, 0.0] * 40, [3.0, 1.0] * 40)
    assert (found.requests, found.then, found.now) == (80, 0.5, 0.75)
    assert found.effective == pytest.approx(160**2 / 400)
    unit = 160 / 64
    mean = (120 + 2 * unit) / (160 + 4 * unit)
    spread = 40 * (3 * (1 - mean)) ** 2 + 40 * mean**2
    spread += 2 * unit**2 * ((1 - mean) ** 2 + mean**2)
    half = 1.96 * spread**0.5 / (160 + 4 * unit)
    assert found.low == pytest.approx(mean - half)
    assert found.high == pytest.approx(mean + half)
    few = _estimate([1.0] * 29 + [0.0] * 50, [1.0] * 29 + [0.0] * 50)
    assert (few.now, few.low, few.high) == (None, None, None)
    assert few.effective == pytest.approx(29)
    assert _estimate([1.0], [0.0]).effective == 0.0
    all_like = _estimate([1.0] * 30, [2.0] * 30)
    assert (all_like.now, all_like.high) == (1.0, 1.0)
    assert 0.85 < (all_like.low or 0.0) < 0.95
    stars = _estimate([4.0, 5.0] * 40, [1.0] * 80)
    assert stars.now == 4.5
    assert 4.1 < (stars.low or 0.0) < 4.4 < (stars.high or 0.0) < 4.7


def test_requests_of_a_session_count_together() -> None:
    """Ten of each of forty callers, who always say the same, are worth forty."""
    liked = [Sample(float(n % 4 > 0), 1.0, str(n)) for n in range(40)]
    once, often = estimate("thumb", liked), estimate("thumb", liked * 10)
    assert (often.requests, often.effective) == (400, pytest.approx(40))
    assert (often.then, often.now) == (0.75, 0.75)
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def test_the_truth_is_within_the_interval_as_often_as_it_says() -> None:
    """A split of two models, and what a map by intent would have got: 95 of 100, or nearly."""
    mapped = replace(rules(), policy=IntentMap(routes={"code": "large"}, default="small"))
    cases = [
        (intent, _decision(n, _SPLIT, intent), _decision(n, mapped, intent))
        for n, intent in enumerate(["code", "chat"] * 200)
    ]
    weights = [weight(then, now) for _, then, now in cases]
    truth = fmean(_LIKED[str(now.deployment), intent] for intent, _, now in cases)
    held, found = 0, []
    for seed in range(100):
        chance = random.Random(seed)  # noqa: S311 -- seeded
        liked = [
            float(chance.random() < _LIKED[str(then.deployment), intent])
            for intent, then, _ in cases
        ]
        one = _estimate(liked, weights)
        assert one.low is not None
        assert one.high is not None
        held += one.low <= truth <= one.high
        found.append(one.now or 0.0)
    assert held >= 92
    assert fmean(found) == pytest.approx(truth, abs=0.02)


async def test_feedback_in_a_ledger(tmp_path: Path) -> None:
    """The mean of a request's opinions, for each metric; requests without any do not count."""
    liked = {"small": 0.25, "large": 1.0}
    with Ledger(SqliteStore(tmp_path / "l"), catalog=CATALOG) as ledger:
        for number in range(400):
            decision = _decision(number, _SPLIT)
            calls = (outcome(decision, Usage(input=9, output=9)),)
            await report_request(ledger, ReportedRequest(make_request(number), decision, calls))
            if number % 2:
                value = liked[str(decision.deployment)]
                for source, part in (("user", value), ("judge", 0.0)):
                    await ledger.feedback(decision.id, "thumb", part, source=source)
    store = SqliteStore(tmp_path / "l")
    requests = await asyncio.to_thread(lambda: list(decide_again(store, _fixed("large"))))
    (found,) = compare(requests, opinions_in(store)).feedback
    assert (found.metric, found.requests) == ("thumb", 200)
    assert found.now == pytest.approx(0.5)
    assert 0.125 < found.then < 0.3

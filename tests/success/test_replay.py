"""Policies on tables: evaluated by the same decide() and next_attempt() that serve."""

import numpy as np
import pytest

from turnout.core import Candidate, Constraints, Features, Prediction, Ref, Request, Snapshot
from turnout.evaluation.driver import replay_policy
from turnout.evaluation.outcome_table import OutcomeTable
from turnout.policies import (
    Cascade,
    Cheapest,
    CheapestAboveQuality,
    Rule,
    Rules,
    Situation,
    Utility,
    Weighted,
)
from turnout.training.calibrate import Margin, calibrate, choose

COSTS = {"small": 0.001, "large": 0.01}


def table(count: int = 200) -> OutcomeTable:
    """The large model answers all, the small one every second prompt."""
    score = np.tile([0.0, 1.0], (count, 1))
    score[::2, 0] = 1
    return OutcomeTable(
        name="world",
        prompts=tuple({"id": str(n), "prompt": f"question {n}"} for n in range(count)),
        models=("small", "large"),
        score=score,
        cost_usd=np.tile([0.001, 0.01], (count, 1)),
    )


def right_predictions(world: OutcomeTable) -> np.ndarray:
    """Predictions that are right about every row."""
    return np.clip(world.score, 0.05, 0.95)


def test_the_cheapest_that_succeeds_is_chosen() -> None:
    """With true predictions no quality is lost and half of the calls are cheap."""
    world = table()
    found = replay_policy(world, CheapestAboveQuality(), right_predictions(world), COSTS)
    assert found.score.mean() == 1
    assert found.cost_usd.mean() == pytest.approx(0.0055)


def test_a_requests_own_quality_wins() -> None:
    """A caller who asks for nothing gets the cheapest."""
    world = table()
    limits = Constraints(quality=0.01)
    found = replay_policy(
        world, CheapestAboveQuality(), right_predictions(world), COSTS, constraints=limits
    )
    assert (found.chosen == 0).all()


def test_a_missing_outcome_falls_back() -> None:
    """A cell without an outcome is a failed call: the next route answers, nothing is paid twice."""
    world = table()
    world.score[0, 0] = np.nan
    found = replay_policy(world, Cheapest(), right_predictions(world), COSTS)
    assert found.chosen[0] == 1
    assert found.calls[0] == 2
    assert found.cost_usd[0] == pytest.approx(0.01)


def test_a_cascade_pays_for_its_drafts_and_keeps_the_quality() -> None:
    """A rejected draft is paid, then the stronger model answers."""
    world = table()
    flat = np.tile([0.5, 0.9], (200, 1))
    found = replay_policy(world, Cascade(), flat, COSTS)
    assert found.score.mean() == 1
    assert found.cost_usd.mean() == pytest.approx(0.006)


def test_a_rejected_draft_with_nothing_above_it_is_no_answer() -> None:
    """What serving would refuse counts as no quality, though its draft is paid for."""
    world = table()
    world.score[:, 1] = np.nan
    found = replay_policy(world, Cascade(), np.tile([0.5, 0.9], (200, 1)), COSTS)
    assert (found.chosen[1::2] == -1).all()
    assert found.score.mean() == pytest.approx(0.5)
    assert found.cost_usd == pytest.approx(0.001)


def test_a_higher_price_never_makes_a_model_more_attractive() -> None:
    """Utility falls as dollars count for more."""
    world = table()
    shares = [
        (
            replay_policy(world, Utility(per_usd=w), right_predictions(world), COSTS).chosen == 1
        ).mean()
        for w in (0, 10, 100, 1000)
    ]
    assert shares == sorted(shares, reverse=True)


def test_weights_are_drawn_at_random_and_recorded_as_propensities() -> None:
    """A split of three to one sends about a quarter, and says so."""
    policy = Weighted(weights={"small": 3, "large": 1})
    found = replay_policy(table(2000), policy, right_predictions(table(2000)), COSTS)
    assert (found.chosen == 1).mean() == pytest.approx(0.25, abs=0.04)
    scores = policy.rank(_candidates(), _situation("hello"))
    assert sum(score.propensity for score in scores) == pytest.approx(1)


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (Rule(name="r", deployment="large", keywords=("contract",)), True),
        (Rule(name="r", deployment="large", keywords=("poem",)), False),
        (Rule(name="r", deployment="large", pattern=r"\bclause \d+"), True),
        (Rule(name="r", deployment="large", tags={"team": "law"}), False),
        (Rule(name="r", deployment="large", hours=(22, 2)), True),
        (Rule(name="r", deployment="large", hours=(2, 22)), False),
    ],
)
def test_the_first_rule_that_matches_chooses(rule: Rule, *, matches: bool) -> None:
    """Words, patterns, tags and hours decide; otherwise the policy below does."""
    policy = Rules(rules=(rule,), otherwise=Cheapest())
    scores = policy.rank(_candidates(), _situation("Check clause 7 of this contract"))
    first = max(scores, key=lambda score: score.value).deployment
    assert first == ("large" if matches else "small")


def test_calibration_keeps_its_promise_and_says_when_it_cannot() -> None:
    """Enough rows give a threshold that saves; twenty give no promise of 5 % loss."""
    world = table(2000)
    found = calibrate(world, right_predictions(world), COSTS, quality=0.95)
    assert found.promised
    assert found.low >= 0.95
    assert found.saving > 0.4
    small = world.rows(np.arange(20))
    assert not calibrate(small, right_predictions(small), COSTS, lost=0.05).promised


def test_a_calibrated_share_serves_every_quality_up_to_its_own() -> None:
    """Asking for less than was calibrated uses that share; asking for more the quality itself."""
    policy = CheapestAboveQuality(quality=0.9, calibrated=((0.95, 0.7), (0.98, 0.85)))
    assert policy.share(None) == 0.7
    assert policy.share(0.95) == 0.7
    assert policy.share(0.97) == 0.85
    assert policy.share(0.99) == 0.99


def test_a_margin_counts_where_a_prompt_is_strange() -> None:
    """With the same predictions the usually weak model is left on strange rows, and only there."""
    world = table()
    success = np.tile([0.9, 0.92], (200, 1))
    strange = np.zeros(200)
    strange[:50] = 1.0
    policy = CheapestAboveQuality(quality=0.95, steady=0.1, usual=(("large", 1.0), ("small", 0.5)))
    found = replay_policy(world, policy, success, COSTS, strange=strange)
    assert (found.chosen[:50] == 1).all()
    assert (found.chosen[50:] == 0).all()
    assert (replay_policy(world, policy, success, COSTS).chosen == 0).all()


def test_the_calibrated_choice_is_the_policys() -> None:
    """What calibration measures is what decide() does."""
    world = table()
    random = np.random.default_rng(0)
    success = random.random(world.score.shape)
    served = replay_policy(world, CheapestAboveQuality(threshold=0.8), success, COSTS)
    prices = np.array([COSTS[model] for model in world.models])
    assert np.array_equal(served.chosen, choose(success, prices, 0.8))


def test_the_calibrated_choice_is_the_policys_with_a_margin_too() -> None:
    """A promise for a steady policy is found with the choices that it makes."""
    world = table()
    random = np.random.default_rng(1)
    success, strange = random.random(world.score.shape), random.random(len(world.prompts))
    usual = np.array([0.5 if model == "small" else 0.9 for model in world.models])
    policy = CheapestAboveQuality(
        threshold=0.6, steady=0.5, usual=tuple(zip(world.models, usual.tolist(), strict=True))
    )
    served = replay_policy(world, policy, success, COSTS, strange=strange).chosen
    prices = np.array([COSTS[model] for model in world.models])
    found = choose(success, prices, 0.6, Margin(means=usual, margins=0.5 * strange))
    assert np.array_equal(served, found)
    assert not np.array_equal(found, choose(success, prices, 0.6))


def _candidates() -> list[Candidate]:
    return [
        Candidate(deployment=name, model=name, cost_pico_usd=cost, quality=0.5)
        for name, cost in (("small", 10), ("large", 100))
    ]


def _situation(text: str) -> Situation:
    return Situation(
        request=Request(id="1", body={"messages": [{"role": "user", "content": text}]}),
        features=Features(input_tokens={}, output_tokens=1),
        prediction=Prediction(classifier=Ref(name="none")),
        snapshot=Snapshot(as_of=23.5 * 3600),
        intent=None,
    )

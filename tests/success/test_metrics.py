"""The metrics: their anchors, and laws that hold for any numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.evaluation import metrics

SHARES = st.lists(st.floats(0, 1), min_size=30, max_size=60)


def world(count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """A weak and a strong model on prompts whose gain rises with their number."""
    random = np.random.default_rng(0)
    weak = (random.random(count) < 0.6).astype(float)
    strong = np.maximum(weak, (random.random(count) < np.linspace(0, 1, count)).astype(float))
    return weak, strong


def test_apgr_of_a_random_order_is_one_half() -> None:
    """An order that knows nothing recovers half of the gap."""
    weak, strong = world()
    strength = np.random.default_rng(1).random(len(weak))
    assert metrics.apgr(strength, weak, strong) == pytest.approx(0.5, abs=0.05)


def test_apgr_rewards_the_right_order() -> None:
    """Sending the prompts that gain most first beats random, the reverse loses to it."""
    weak, strong = world()
    order = np.arange(len(weak), dtype=float)
    assert metrics.apgr(order, weak, strong) > 0.6
    assert metrics.apgr(-order, weak, strong) < 0.4


def test_apgr_of_equal_strengths_is_one_half() -> None:
    """Ties neither fail nor shorten the curve."""
    weak, strong = world()
    assert metrics.apgr(np.zeros(len(weak)), weak, strong) == pytest.approx(0.5)


def test_of_equally_good_models_nothing_is_recovered() -> None:
    """There is no gap, and no share of calls that recovers a part of it."""
    weak, strong = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.0, 1.0, 1.0, 0.0])
    assert np.isnan(metrics.apgr(np.arange(4.0), weak, strong))
    assert np.isnan(metrics.cpt(np.arange(4.0), weak, strong, 0.5))


def test_cpt_is_the_share_that_recovers_the_gap() -> None:
    """With a random order, half of the gap costs about half of the calls."""
    weak, strong = world()
    strength = np.random.default_rng(1).random(len(weak))
    assert metrics.cpt(strength, weak, strong, 0.5) == pytest.approx(0.5, abs=0.06)


@given(SHARES, st.integers(0, 2**31))
def test_the_frontier_is_above_every_point_and_never_falls(
    qualities: list[float], seed: int
) -> None:
    """No point lies above the hull, and quality never falls with cost."""
    costs = np.random.default_rng(seed).random(len(qualities)) + 0.01
    hull = metrics.frontier(list(zip(costs.tolist(), qualities, strict=True)))
    assert (np.diff(hull.qualities) >= 0).all()
    at = np.interp(costs, hull.costs, hull.qualities)
    assert (at + 1e-9 >= np.where(costs >= hull.costs[0], qualities, 0)).all()


def test_aiq_of_knowing_nothing_is_the_zero_router() -> None:
    """Predictions that are each model's mean can only mix single models."""
    random = np.random.default_rng(0)
    score = (random.random((500, 3)) < [0.5, 0.7, 0.9]).astype(float)
    cost = np.tile([1.0, 2.0, 9.0], (500, 1))
    known = metrics.cost_quality(np.tile(score.mean(axis=0), (500, 1)), score, cost)
    assert known.gain == pytest.approx(0, abs=1e-9)


def test_aiq_of_the_outcomes_beats_the_zero_router() -> None:
    """An oracle saves cost at better quality than any single model."""
    random = np.random.default_rng(0)
    score = (random.random((500, 3)) < [0.5, 0.7, 0.9]).astype(float)
    cost = np.tile([1.0, 2.0, 9.0], (500, 1))
    known = metrics.cost_quality(score, score, cost)
    assert known.gain > 0.1
    top = metrics.sweep(score, score, cost, cost.mean(axis=0)).qualities[-1]
    assert top > score.mean(axis=0).max()
    assert known.saving > known.saving_zero


def test_aiq_is_the_area_under_the_hull_by_another_way() -> None:
    """Against a fine numerical integral of the best mix of two points at every cost."""
    random = np.random.default_rng(3)
    points = list(zip((random.random(12) + 0.1).tolist(), random.random(12).tolist(), strict=True))
    low, high = min(c for c, _ in points), max(c for c, _ in points)
    grid = np.linspace(low, high, 4001)
    best = np.full(len(grid), -np.inf)
    for cost_a, quality_a in points:
        for cost_b, quality_b in points:
            if cost_a > cost_b:
                continue
            # Any mix of two settings, and each of them for more than it costs.
            part = np.clip((grid - cost_a) / max(cost_b - cost_a, 1e-12), 0, 1)
            mixed = np.where(grid >= cost_a, quality_a + part * (quality_b - quality_a), -np.inf)
            best = np.maximum(best, mixed)
            best = np.maximum(best, np.where(grid >= cost_b, quality_b, -np.inf))
    expected = float(np.trapezoid(best, grid) / (high - low))
    assert metrics.frontier(points).area(low, high) == pytest.approx(expected, abs=1e-3)


def test_apgr_and_cpt_by_hand() -> None:
    """Ten prompts, one a decile: the strong model gains on the first five in the order."""
    strength = np.arange(10, 0, -1).astype(float)
    weak, strong = np.zeros(10), np.array([1.0] * 5 + [0.0] * 5)
    # Accuracy rises by 0.1 a decile up to 0.5 and stays: the area is 0.125 + 0.25 of a gap of 0.5.
    assert metrics.apgr(strength, weak, strong) == pytest.approx(0.75)
    assert metrics.cpt(strength, weak, strong, 0.5) == pytest.approx(0.25)
    assert metrics.cpt(strength, weak, strong, 0.8) == pytest.approx(0.4)
    assert metrics.apgr(-strength, weak, strong) == pytest.approx(0.25)


def test_apgr_is_near_its_value_at_every_threshold() -> None:
    """Eleven thresholds approximate the area under the whole curve."""
    random = np.random.default_rng(5)
    strength = random.random(5000)
    weak = (random.random(5000) < 0.5).astype(float)
    strong = (random.random(5000) < 0.5 + 0.4 * strength).astype(float)
    order = np.argsort(-strength)
    gained = np.concatenate([[0.0], np.cumsum((strong - weak)[order])]) / len(weak)
    shares = np.linspace(0, 1, len(gained))
    gap = strong.mean() - weak.mean()
    exact = float(np.trapezoid(gained, shares) / gap)
    assert metrics.apgr(strength, weak, strong) == pytest.approx(exact, abs=0.01)


def test_calibration_error_is_zero_for_the_truth_and_large_for_its_opposite() -> None:
    """Outcomes that come as often as predicted have no error; a missing cell is left out."""
    random = np.random.default_rng(0)
    p = random.random(20000)
    outcome = (random.random(20000) < p).astype(float)
    outcome[:100] = np.nan
    assert metrics.calibration_error(p, outcome) < 0.02
    assert metrics.calibration_error(1 - p, outcome) > 0.4

"""Several tables on one scale, and means where outcomes are missing."""

import numpy as np
import pytest

from turnout.classifiers.success.scale import abilities, lowered_where_harder
from turnout.training.gaps import with_expected_outcomes
from turnout.training.smooth import model_means

EASY, HARD = ("weak", "middle", "strong"), ("middle", "strong", "best")
PRIORS = [np.array([0.8, 0.9, 0.95], np.float32), np.array([0.3, 0.5, 0.8], np.float32)]


def lowered_answers(easy: float, hard: float) -> list[np.ndarray]:
    """Both tables' predictions for a prompt at their means, known to them by these shares."""
    knowing = [np.array([share], np.float32) for share in (easy, hard)]
    return lowered_where_harder(
        [p[None, :] for p in PRIORS], PRIORS, abilities((EASY, HARD), PRIORS), knowing
    )


def test_a_model_of_a_hard_table_is_not_taken_for_weak() -> None:
    """The models that both tables have tell how hard the one is beside the other."""
    easy, hard = abilities((EASY, HARD), PRIORS)
    assert easy[0] < easy[1] < easy[2] < hard[2]
    assert easy[1:] == pytest.approx(hard[:2])


def test_a_prompt_that_another_table_knows_as_hard_is_not_taken_for_easy() -> None:
    """The table that does not know it is lowered to where abilities say, models in order."""
    easy, hard = lowered_answers(0.0, 1.0)
    assert 0.3 < easy[0, 1] < 0.5
    assert easy[0, 0] < easy[0, 1] < easy[0, 2]
    assert hard[0] == pytest.approx(PRIORS[1], abs=1e-6)


@pytest.mark.parametrize("knowing", [(0.0, 0.0), (1.0, 1.0), (1.0, 0.0)])
def test_a_table_that_knows_the_prompt_is_not_changed_and_none_is_raised(
    knowing: tuple[float, float],
) -> None:
    """Where no table knows it, and where the easy one does, the means stay."""
    for answer, prior in zip(lowered_answers(*knowing), PRIORS, strict=True):
        assert answer[0] == pytest.approx(prior, abs=1e-6)


def test_lowered_predictions_are_probabilities_in_the_same_order() -> None:
    """However far apart the models and however hard the prompt."""
    priors = [np.array([0.01, 0.5, 0.99], np.float32), np.full(3, 0.01, np.float32)]
    able = abilities((EASY, HARD), priors)
    knowing = [np.zeros(1, np.float32), np.ones(1, np.float32)]
    (found,) = lowered_where_harder([p[None, :] for p in priors], priors, able, knowing)[0]
    assert 0 < found[0] < found[1] < found[2] < 1
    assert found.mean() < 0.3


def test_a_mean_of_easy_prompts_alone_is_not_taken_for_ability() -> None:
    """Of five equal models one was never put to the hard half; whole tables have plain means."""
    random = np.random.default_rng(0)
    chance = np.repeat([[0.95], [0.2]], 150, axis=0)
    score = (random.random((300, 5)) < chance).astype(np.float32)
    whole = model_means(score)
    assert whole == pytest.approx((score.sum(axis=0) + 2 * score.mean()) / 302)
    score[150:, 0] = np.nan
    easy = np.nanmean(score[:, 0])
    assert easy > 0.9
    assert model_means(score)[0] < (easy + whole[0]) / 2
    assert model_means(score)[1:] == pytest.approx(whole[1:], abs=0.01)


def test_missing_outcomes_become_probabilities_and_known_ones_stay() -> None:
    """Outcomes stay; a model without any is taken for a usual one."""
    score = np.array([[1, 1, np.nan], [0, 0, np.nan], [1, np.nan, np.nan]], np.float32)
    found, known = with_expected_outcomes(score), ~np.isnan(score)
    assert (found[known] == score[known]).all()
    assert ((found[~known] > 0) & (found[~known] < 1)).all()
    assert found[0, 2] > 0.5 > found[1, 2]

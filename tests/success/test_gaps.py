"""Tables with gaps: missing outcomes, unknown, zero and single costs, models nobody asked."""

import warnings
from itertools import count as numbers
from pathlib import Path

import numpy as np
import pytest

from tests.cli.run import run
from tests.success.worlds import prompts, score, unpriced_bundle, write_table
from turnout.classifiers.success import open_bundle
from turnout.evaluation.driver import replay_policy
from turnout.evaluation.outcome_table import OutcomeTable
from turnout.evaluation.report import Row
from turnout.evaluation.report_rows import RowMaker
from turnout.evaluation.table_files import read_table
from turnout.features.prompt import row_text
from turnout.policies import Strongest
from turnout.training.calibrate import calibrate
from turnout.training.inner_folds import random_folds
from turnout.training.success import train


def gaps(share: float = 0.4) -> np.ndarray:
    """The world's scores, of which a share is missing anywhere."""
    found = score(prompts(240))
    found[np.random.default_rng(5).random(found.shape) < share] = np.nan
    return found


@pytest.mark.parametrize("count", [5, 12])
def test_a_few_prompts_teach_the_models_means(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], count: int
) -> None:
    """Training says so, and predictions do not move far from them."""
    table = write_table(tmp_path, count=count)
    ran = run(capfd, "train", "success", "--table", str(table), "--out", str(tmp_path / "b"))
    assert ran.code == 0, ran.err
    assert f"only {count} prompts with scores" in ran.err
    success = open_bundle(tmp_path / "b").predictor.predict_all(
        [row_text(row) for row in prompts(20, first=count)]
    )
    assert np.abs(success - read_table(table).score.mean(axis=0)).max() < 0.4


def test_prompts_that_no_fold_leaves_out_teach_the_means(tmp_path: Path) -> None:
    """All five may fall into one fold, by their hashes; then nothing is known out of fold."""
    table = read_table(write_table(tmp_path, count=5))
    texts = ["\n".join(row_text(row)) for row in table.prompts]
    seed = next(seed for seed in numbers() if not random_folds(texts, seed))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        success = train([table], seed=seed).predict_all([row_text(row) for row in prompts(9)])
    assert np.ptp(success, axis=0).max() < 1e-6
    assert success[0] == pytest.approx(table.score.mean(axis=0), abs=0.15)


def baselines_of(table: OutcomeTable) -> dict[str, Row]:
    """The baselines of a table, and its strongest model as a policy."""
    maker = RowMaker(table)
    rule = Strongest(order=("large", "coder", "small"))
    replayed = replay_policy(table, rule, np.zeros(table.score.shape), {})
    found = [maker.replayed_row("strongest", replayed), *maker.baseline_rows(table.column("task"))]
    return {row.name: row for row in found}


def test_a_missing_outcome_is_no_wrong_answer(tmp_path: Path) -> None:
    """The best single model has its mean over its answers; a task oracle takes who answered."""
    table = read_table(write_table(tmp_path, score=gaps())).answered()
    rows = baselines_of(table)
    assert rows["best single"].quality.value == pytest.approx(np.nanmean(table.score[:, 2]))
    assert rows["best single"].quality.low > 0.8
    assert rows["strongest"].quality.value <= rows["oracle"].quality.value
    told = []
    for row, task in zip(table.score, table.column("task"), strict=True):
        means = np.nanmean(table.score[[t == task for t in table.column("task")]], axis=0)
        told.append(row[max(np.flatnonzero(~np.isnan(row)), key=lambda j: means[j])])
    assert rows["task oracle"].quality.value == pytest.approx(np.mean(told))


def test_prompts_that_nobody_answered_are_left_out(tmp_path: Path) -> None:
    """They would count as failures of every router."""
    found = gaps(0)
    found[:30] = np.nan
    table = read_table(write_table(tmp_path, score=found)).answered()
    assert len(table.prompts) == 210
    assert table.notes == ("left out, without any score: 30 prompts",)


def test_figures_that_need_common_prompts_are_unknown_without_any(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Policies are compared; what needs whole rows is unknown and said to be."""
    found = gaps(0)
    found[np.arange(240), np.arange(240) % 3] = np.nan
    prefix = write_table(tmp_path, score=found)
    ran = run(capfd, "eval", "--table", str(prefix), "--json")
    assert ran.code == 0
    assert "AIQ" not in ran.json["curve"]["figures"]
    assert any("on 0 prompts that all answered" in note for note in ran.json["notes"])
    assert any("240 of 720 outcomes are missing" in note for note in ran.json["notes"])


def test_a_pair_that_never_answered_the_same_prompt_has_no_figures(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing says which of the two does better on a prompt."""
    found = gaps(0)
    found[::2, 0] = found[1::2, 2] = np.nan
    prefix = write_table(tmp_path, score=found)
    bundle = unpriced_bundle(tmp_path)
    ran = run(
        capfd, "eval", "--table", str(prefix), "--bundle", bundle, "--pair", "small,large", "--json"
    )
    assert ran.code == 0
    assert ran.json["curve"]["figures"]["APGR small → large"]["value"] is None


def test_no_saving_on_models_that_cost_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """All models free: savings are unknown, everything else is told."""
    pytest.importorskip("matplotlib")
    prefix, plot = write_table(tmp_path, cost_usd=np.zeros((240, 3))), tmp_path / "free.png"
    told = ("--bundle", unpriced_bundle(tmp_path), "--json", "--plot", str(plot))
    ran = run(capfd, "eval", "--table", str(prefix), *told)
    assert ran.code == 0
    assert all(row["saving_vs_best"]["value"] is None for row in ran.json["rows"])
    assert ran.json["curve"]["figures"]["saving at 95 % of best single"]["value"] is None
    assert ran.json["curve"]["figures"]["AIQ"]["value"] > 0.7
    assert plot.stat().st_size > 1000


def test_unknown_costs_among_known_ones_count_as_the_usual_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One cost in five unknown leaves no mean unknown, and is told."""
    cost = np.tile([0.001, 0.004, 0.01], (240, 1))
    cost[::5] = np.nan
    prefix, bundle = write_table(tmp_path, cost_usd=cost), unpriced_bundle(tmp_path)
    ran = run(capfd, "eval", "--table", str(prefix), "--bundle", bundle, "--json")
    assert "144 of 720 costs are unknown" in ran.err
    usd = {row["name"]: row["usd_per_1000"]["value"] for row in ran.json["rows"]}
    assert usd["strongest"] == pytest.approx(10)
    assert usd["cheapest"] == pytest.approx(1)


def test_a_single_priced_model_is_compared_with_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It would be both the cheapest and the dearest."""
    cost = np.tile([0.001, np.nan, np.nan], (240, 1))
    prefix, bundle = write_table(tmp_path, cost_usd=cost), unpriced_bundle(tmp_path)
    ran = run(capfd, "eval", "--table", str(prefix), "--bundle", bundle, "--json")
    assert "costs of fewer than two models: none are compared" in ran.err
    assert all(row["usd_per_1000"]["value"] is None for row in ran.json["rows"])


def test_without_costs_none_is_the_cheapest_and_utility_is_quality(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The first model of the table is no answer to either; the plot shows the qualities."""
    pytest.importorskip("matplotlib")
    prefix, plot = write_table(tmp_path, cost_usd=None), tmp_path / "quality.svg"
    told = ("--bundle", unpriced_bundle(tmp_path), "--json", "--plot", str(plot))
    ran = run(capfd, "eval", "--table", str(prefix), *told)
    rows = {row["name"]: row for row in ran.json["rows"]}
    assert "cheapest" not in rows
    assert rows["utility:100"]["picks"] == rows["cheapest_above_quality:0.95"]["picks"]
    assert b"no costs are known" in plot.read_bytes()


def test_a_mix_is_as_good_as_the_cheapest_model_alone(tmp_path: Path) -> None:
    """Where the cheapest has 95 % of the best one's quality, it has all that it has."""
    found = np.zeros((240, 3), np.float32)
    found[:200, 0] = found[:196, 1] = found[:204, 2] = 1.0
    row = baselines_of(read_table(write_table(tmp_path, score=found)))["zero router at 95%"]
    assert row.quality.value == pytest.approx(200 / 240)
    assert row.over_mixing.value == pytest.approx(0)


def world(count: int, share_lost: float, missing: float = 0.0) -> tuple[OutcomeTable, np.ndarray]:
    """A dear model that is always right, and a cheap one that is as good but for a share."""
    random = np.random.default_rng(7)
    found = np.ones((count, 2))
    found[random.random(count) < share_lost, 0] = 0.0
    found[random.random(count) < missing, 0] = np.nan
    rows = tuple({"id": str(i), "prompt": f"question {i}"} for i in range(count))
    table = OutcomeTable(name="pair", prompts=rows, models=("cheap", "dear"), score=found)
    return table, np.tile([0.9, 0.95], (count, 1))


def test_a_promise_is_not_made_of_luck() -> None:
    """Of 40 prompts, none lost: as many as 7 in 100 may be, which a bound must not hide."""
    costs = {"cheap": 0.1, "dear": 1.0}
    table, success = world(40, 0.0)
    found = calibrate(table, success, costs, quality=0.95)
    assert found.low == pytest.approx(1 - found.lost_high, abs=0.01)
    assert not found.promised
    table, success = world(400, 0.0)
    assert calibrate(table, success, costs, quality=0.95).promised


def test_promises_hold_as_often_as_they_say() -> None:
    """Of 200 small tables with a true loss of 4 %, no more than one in twenty says it is less."""
    broken, random = 0, np.random.default_rng(3)
    for seed in range(200):
        table, success = world(40, 0.0)
        table.score[random.random(40) < 0.04, 0] = 0.0
        found = calibrate(table, success, {"cheap": 0.1, "dear": 1.0}, quality=0.5, seed=seed)
        broken += found.low > 0.96
    assert broken <= 10


def test_calibration_counts_no_missing_outcome_as_lost() -> None:
    """Half of the cheap model's outcomes are unknown; where it answered it lost hardly any."""
    table, success = world(400, 0.01, missing=0.5)
    found = calibrate(table, success, {"cheap": 0.1, "dear": 1.0}, quality=0.95)
    assert found.quality > 0.98
    assert found.threshold == 0


@pytest.mark.parametrize("missing", [0.0, 0.5, 0.9])
def test_unknown_losses_do_not_count_as_none(missing: float) -> None:
    """The cheap model loses one in ten, however seldom it was asked."""
    table, success = world(4000, 0.1, missing=missing)
    found = calibrate(table, success, {"cheap": 0.1, "dear": 1.0}, quality=0.8)
    assert found.threshold == 0
    assert found.lost == pytest.approx(0.1, abs=0.04)
    assert found.lost < found.lost_high < 0.15
    assert found.saving == pytest.approx(0.9)
    assert found.rows == np.isfinite(table.score).all(axis=1).sum()


def test_of_one_answer_a_prompt_nothing_is_promised() -> None:
    """Logs of a split: nobody knows what the other model would have answered."""
    table, success = world(400, 0.1)
    table.score[::2, 0] = table.score[1::2, 1] = np.nan
    costs = {"cheap": 0.1, "dear": 1.0}
    found = calibrate(table, success, costs, quality=0.8)
    assert (found.threshold, found.quality, found.saving) == (0.95, 1.0, 0.0)
    found = calibrate(table, success[:, ::-1], costs, quality=0.8)
    assert (found.promised, found.rows) == (False, 0)


def test_the_saving_is_by_the_costs_of_the_table() -> None:
    """A long prompt costs more with every model; by means a quarter would be saved."""
    score = np.ones((200, 2))
    score[::2, 0] = 0
    cost = np.tile([1.0, 2.0], (200, 1))
    cost[::2] *= 10
    table = OutcomeTable(
        name="long", prompts=tuple({"id": n} for n in range(200)), models=("a", "b"),
        score=score, cost_usd=cost,
    )  # fmt: skip
    found = calibrate(table, np.where(score == 1, 0.9, 0.1), {"a": 5.5, "b": 11.0}, quality=0.95)
    assert found.saving == pytest.approx(1 / 22)
    cost[:, 0] = np.nan
    found = calibrate(table, np.where(score == 1, 0.9, 0.1), {"a": 1.0, "b": 11.0}, quality=0.95)
    assert found.saving == pytest.approx(1 / 22)


def test_the_saving_of_unknown_prices_is_unknown() -> None:
    """Neither a warning nor a number."""
    table, success = world(400, 0.0)
    found = calibrate(table, success, {"cheap": 0.0, "dear": 0.0}, quality=0.95)
    assert np.isnan(found.saving)
    table, success = world(400, 0.01)
    assert np.isnan(calibrate(table, success, {"cheap": 1.0}, quality=0.95).saving)


def test_training_says_which_models_it_knows_nothing_of(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """They have a prediction, which is no more than a guess."""
    found = gaps(0)
    found[:, 1] = np.nan
    prefix = write_table(tmp_path, score=found)
    ran = run(capfd, "train", "success", "--table", str(prefix), "--out", str(tmp_path / "b"))
    assert ran.code == 0
    assert "without any score, predicted as the mean of all: coder" in ran.err

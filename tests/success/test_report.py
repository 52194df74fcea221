"""The report: rows beside their baselines, each figure with its interval, and the plot."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.run import run
from tests.success.worlds import MODELS, unpriced_bundle, write_table
from turnout.evaluation.driver import replay_policy
from turnout.evaluation.report import Curve, Row
from turnout.evaluation.report_curve import curve_of
from turnout.evaluation.report_rows import RowMaker
from turnout.evaluation.table_files import read_table
from turnout.policies import Cheapest, Strongest
from turnout.training.calibrate import calibrate


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small world on disk."""
    return write_table(tmp_path_factory.mktemp("report"))


def rows_of(prefix: Path) -> dict[str, Row]:
    """Lines of two plain policies and of all baselines."""
    table = read_table(prefix)
    mean = dict(zip(MODELS, (0.001, 0.004, 0.01), strict=True))
    maker = RowMaker(table)
    flat = np.tile([0.5, 0.6, 0.9], (len(table.prompts), 1))
    rules = {"cheapest": Cheapest(), "strongest": Strongest(order=("large", "small", "coder"))}
    found = [
        maker.replayed_row(name, replay_policy(table, rule, flat, mean))
        for name, rule in rules.items()
    ]
    return {row.name: row for row in [*found, *maker.baseline_rows(table.column("task"))]}


def test_figures_match_the_table(prefix: Path) -> None:
    """Quality, cost and savings agree with sums over the cells."""
    table, rows = read_table(prefix), rows_of(prefix)
    small, large = table.score[:, 0].mean(), table.score[:, 2].mean()
    cheapest = rows["cheapest"]
    assert cheapest.quality.value == pytest.approx(small)
    assert cheapest.usd_per_1000.value == pytest.approx(1.0)
    assert cheapest.saving_vs_best.value == pytest.approx(0.9)
    assert rows["strongest"].quality.value == pytest.approx(large)
    assert rows["best single"].saving_vs_best.value == pytest.approx(0)
    assert rows["oracle"].quality.value == pytest.approx(table.score.max(axis=1).mean())
    assert rows["oracle"].oracle_gap.value == pytest.approx(0)
    assert cheapest.picks["small"].value == 1


def test_the_oracle_takes_the_call_that_was_cheapest(tmp_path: Path) -> None:
    """In hindsight it knows what each call cost; the task oracle knows the models' means only."""
    score = np.ones_like(read_table(write_table(tmp_path)).score)
    score[0, 0] = 0.0
    cost = np.tile([0.001, 0.004, 0.01], (len(score), 1))
    cost[1] = [0.01, 0.004, 0.001]
    table = read_table(write_table(tmp_path, "calls", score=score, cost_usd=cost))
    rows = {row.name: row for row in RowMaker(table).baseline_rows(table.column("task"))}
    cheapest = 0.004 + 0.001 * (len(score) - 1)
    assert rows["oracle"].usd_per_1000.value == pytest.approx(1000 * cheapest / len(score))
    assert rows["task oracle"].usd_per_1000.value > rows["oracle"].usd_per_1000.value


def test_of_equally_good_models_the_cheapest_is_the_best_single(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Savings against the dearer one would be larger than they are; all that report it agree."""
    world = read_table(write_table(tmp_path))
    score = world.score[:, [2, 0, 2]]
    cost = np.tile([0.02, 0.001, 0.01], (len(score), 1))
    prefix = write_table(tmp_path, "equal", score=score, cost_usd=cost)
    table = read_table(prefix)
    row = {row.name: row for row in RowMaker(table).baseline_rows(None)}["best single"]
    assert row.usd_per_1000.value == pytest.approx(10)
    assert list(row.picks) == ["large"]
    found = calibrate(
        table, np.tile([0.9, 0.5, 0.8], (len(score), 1)), dict(zip(MODELS, cost[0], strict=True))
    )
    assert found.saving == pytest.approx(0)
    told = ("--bundle", unpriced_bundle(tmp_path), "--policy", "cheapest", "--json")
    ran = run(capfd, "eval", "--table", str(prefix), *told)
    assert "best single and strongest: large; dearest: small" in ran.json["notes"]
    strongest = next(row for row in ran.json["rows"] if row["name"] == "strongest")
    assert list(strongest["picks"]) == ["large"]


def test_the_zero_router_is_the_cheapest_mix(prefix: Path) -> None:
    """At 95 % of the best single model it lies on the line between small and large."""
    table, rows = read_table(prefix), rows_of(prefix)
    low, high = table.score[:, 0].mean(), table.score[:, 2].mean()
    row = rows["zero router at 95%"]
    part = (0.95 * high - low) / (high - low)
    assert row.quality.value == pytest.approx(0.95 * high)
    assert row.usd_per_1000.value == pytest.approx(1 + part * 9)
    assert row.over_mixing.value == pytest.approx(0, abs=1e-9)


def test_intervals_hold_their_value_and_shrink_with_rows(tmp_path: Path) -> None:
    """More prompts, narrower intervals."""
    widths = []
    for count in (60, 960):
        quality = rows_of(write_table(tmp_path, f"n{count}", count=count))["cheapest"].quality
        assert quality.low <= quality.value <= quality.high
        widths.append(quality.high - quality.low)
    assert widths[1] < widths[0] / 2


def test_the_interval_of_an_error_holds_it(tmp_path: Path) -> None:
    """Predictions that are right on these rows have an error of 0, which each draw is above."""
    table = read_table(write_table(tmp_path, count=60)).answered().costed()
    right = np.tile(table.score.mean(axis=0), (60, 1))
    figures = curve_of(table, right, None).figures
    error, best = figures["calibration error"], figures["AIQ of the task oracle"]
    assert error.low == 0 == pytest.approx(error.value)
    assert 0 < error.high < 0.2
    assert best.low <= best.value <= best.high


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_command_prints_json_and_draws(
    prefix: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    """All baselines are in the JSON, with intervals; the plot is a file of its kind."""
    pytest.importorskip("matplotlib")
    plot = tmp_path / f"plot.{kind}"
    told = ("--bundle", unpriced_bundle(tmp_path), "--plot", str(plot), "--json")
    ran = run(capfd, "eval", "--table", str(prefix), *told)
    assert ran.code == 0
    names = [row["name"] for row in ran.json["rows"]]
    wanted = {"random", "cheapest", "strongest", "best single", "zero router at 95%", "oracle"}
    assert wanted <= set(names)
    assert "task oracle" in names
    for row in ran.json["rows"]:
        assert row["quality"]["low"] <= row["quality"]["value"] <= row["quality"]["high"]
    figures = ran.json["curve"]["figures"]
    assert {"AIQ", "AIQ of the zero router", "AIQ above zero router"} <= set(figures)
    assert any(name.startswith("APGR") for name in figures)
    assert any(name.startswith("CPT(50%)") for name in figures)
    start = plot.read_bytes()[:60]
    assert start.startswith(b"\x89PNG") if kind == "png" else b"<?xml" in start
    assert json.loads(ran.out)["prompts"] == 240


def test_the_curves_of_the_plot_are_mixes() -> None:
    """A mix of two models costs what its parts cost, which is no straight line among decades."""
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure as Canvas

    from turnout.evaluation.plotting import draw_curves

    curve = Curve(figures={}, mixed=((0.001, 0.6), (1.0, 0.8)), routed=((0.0, 0.5),))
    axes = Canvas().subplots()
    draw_curves(axes, curve)
    mixed, routed = (line.get_xydata() for line in axes.lines)
    assert routed.tolist() == [[0.0, 0.5]]
    assert mixed[:, 1] == pytest.approx(0.6 + 0.2 * (mixed[:, 0] - 1) / 999)
    assert np.diff(np.log10(mixed[:, 0])).max() < 0.5


def test_a_table_without_costs_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Quality is compared, costs are unknown and never zero."""
    prefix, bundle = write_table(tmp_path, cost_usd=None), unpriced_bundle(tmp_path)
    ran = run(capfd, "eval", "--table", str(prefix), "--bundle", bundle, "--json")
    assert ran.code == 0
    assert all(row["usd_per_1000"]["value"] is None for row in ran.json["rows"])
    assert any("no costs, nor prices and token counts" in note for note in ran.json["notes"])
    assert (
        run(capfd, "train", "success", "--table", str(prefix), "--out", str(tmp_path / "b")).code
        == 0
    )


def test_models_without_costs_are_left_out_with_a_note(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Beside priced ones they would look free, or make sums unknown."""
    cost = np.tile([0.001, np.nan, 0.01], (240, 1))
    command = (
        "eval", "--table", str(write_table(tmp_path, cost_usd=cost)),
        "--bundle", unpriced_bundle(tmp_path), "--json",
    )  # fmt: skip
    ran = run(capfd, *command)
    assert ran.json["models"] == 2
    assert "left out, without costs: 1 model;" in ran.err
    ran = run(capfd, *command, "--unpriced")
    assert ran.json["models"] == 3

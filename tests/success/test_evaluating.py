"""Evaluation from Python: policies and predictions of one's own, and what was picked."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import turnout.evaluation
from tests.success.worlds import MODELS, write_table
from turnout.core import Candidate, ConfigError, Ref
from turnout.evaluation import OutcomeTable, Predictions, evaluate, picks, read_table
from turnout.policies import Cascade, Score, Situation, Utility, in_order


class NeedsLarge:
    """A policy of one's own: sums go to the large model, all else to the small one."""

    ref = Ref(name="needs_large")

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """By a word of the prompt."""
        said = str(situation.request.body["messages"])
        wanted = "large" if "total" in said else "small"
        return in_order(sorted(candidates, key=lambda c: c.model != wanted))


@pytest.fixture
def table(tmp_path: Path) -> OutcomeTable:
    """The world, with a latency for each model and a missing outcome."""
    table = read_table(write_table(tmp_path, latency_ms=np.tile([100.0, 200.0, 900.0], (240, 1))))
    table.score[1, MODELS.index("large")] = np.nan
    return table


def test_every_public_name_is_there() -> None:
    """Each one resolves on first use."""
    for name in turnout.evaluation.__all__:
        assert getattr(turnout.evaluation, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = turnout.evaluation.nothing


def test_a_policy_of_ones_own_is_replayed_beside_the_others(table: OutcomeTable) -> None:
    """Its quality, cost and latency are sums over the cells that it chose."""
    report = evaluate(table, {"mine": NeedsLarge()}, Predictions(success=np.full((240, 3), 0.5)))
    rows = {row.name: row for row in report.rows}
    assert list(rows)[:4] == ["random", "cheapest", "strongest", "mine"]
    sums = np.arange(240) % 2 == 1
    score = np.where(sums, table.score[:, 2], table.score[:, 0])
    score[1] = table.score[1, 0]  # the first fallback, in the table's order
    assert rows["mine"].quality.value == pytest.approx(score.mean())
    assert rows["mine"].usd_per_1000.value == pytest.approx((120 + 1 + 119 * 10) / 240)
    assert rows["mine"].latency_ms.value == pytest.approx((121 * 100 + 119 * 900) / 240)
    assert rows["best single"].latency_ms.value == pytest.approx(900)
    assert np.isnan(rows["zero router at 95%"].latency_ms.value)
    assert "replays" not in report.as_dict()


def test_a_model_without_a_given_cost_has_the_tables_mean(table: OutcomeTable) -> None:
    """What is told of one hides nothing of the others; so too for latencies."""
    told = Predictions(
        success=np.full((240, 3), 0.5), mean_cost_usd={"large": 0.0005}, latency_ms={"small": 1e6}
    )
    slow = Utility(per_usd=0.0, per_second=0.001)
    rows = {r.name: r for r in evaluate(table, {"quick": slow}, told).rows}
    assert rows["cheapest"].picks["large"].value == pytest.approx(239 / 240)
    assert rows["cheapest"].picks["small"].value == pytest.approx(1 / 240)
    assert rows["quick"].picks["coder"].value == 1


def test_predictions_of_ones_own_decide(table: OutcomeTable) -> None:
    """Those that know the outcome make the strongest choice of all; a cascade pays its drafts."""
    known = Predictions(success=np.nan_to_num(table.score))
    report = evaluate(table, {"cascade": Cascade(steps=3)}, known)
    rows = {row.name: row for row in report.rows}
    assert rows["cascade"].quality.value == pytest.approx(rows["oracle"].quality.value)
    found = [row for row in picks(table, report) if row["policy"] == "cascade"]
    assert [row["id"] for row in found] == table.ids
    for row, prompt in zip(found, table.score, strict=True):
        assert row["score"] == np.nanmax(prompt)
        assert row["calls"] >= 1


@pytest.mark.parametrize(
    ("success", "words"),
    [
        (np.zeros((240, 2)), r"shape \(240, 2\), table world \(240, 3\)"),
        (np.zeros(240), r"shape \(240,\), table world"),
        (np.full((240, 3), np.nan), r"row 1 \(name-0\): small has nan; give a number"),
    ],
)
def test_predictions_of_another_shape_are_refused(
    table: OutcomeTable, success: np.ndarray, words: str
) -> None:
    """In one line that says what is wanted."""
    with pytest.raises(ConfigError, match=words):
        evaluate(table, {}, Predictions(success=success))


def test_a_pair_is_the_weaker_and_the_stronger_model(table: OutcomeTable) -> None:
    """Two of the table's; the other way round its figures mean nothing, which is said."""
    known, said = Predictions(success=np.full((240, 3), 0.5)), "APGR and CPT tell nothing"
    right, wrong = (
        evaluate(table, {}, known, pair=pair).notes
        for pair in (("small", "large"), ("large", "small"))
    )
    assert (any(said in note for note in right), any(said in note for note in wrong)) == (0, 1)
    for pair in (("small", "small"), ("small", "nobody")):
        with pytest.raises(ConfigError, match=r"give two of table world's models"):
            evaluate(table, {}, known, pair=pair)
    with pytest.raises(ConfigError, match="has no nobody; it has small, coder, large"):
        table.columns(["small", "nobody"])

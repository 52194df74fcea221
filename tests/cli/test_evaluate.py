"""``turnout eval``: policies by name, as they would be served."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.run import run
from tests.success.worlds import trained_predictor, unpriced_bundle, write_table
from turnout.classifiers.success.bundle import POLICY, seal, write_json
from turnout.evaluation import Predictions, evaluate, read_table
from turnout.training.bundle import write_bundle
from turnout.training.crossfit import grouped_folds


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small world, where the large model is slow, and its bundle."""
    folder = tmp_path_factory.mktemp("evaluate")
    table = read_table(write_table(folder, latency_ms=np.tile([100.0, 200.0, 9000.0], (240, 1))))
    write_bundle(trained_predictor(), [table], folder / "bundle")
    return folder


def with_bundle(place: Path) -> tuple[str, ...]:
    """The command on the table and the bundle of the place."""
    return "eval", "--table", str(place / "world"), "--bundle", str(place / "bundle")


def picks(
    place: Path, capfd: pytest.CaptureFixture[str], *policies: str
) -> dict[str, dict[str, float]]:
    """The share of each model's answers by policy."""
    asked = ("--policy", *policies) if policies else ()
    ran = run(capfd, *with_bundle(place), "--json", *asked)
    assert ran.code == 0
    return {
        row["name"]: {model: share["value"] for model, share in row["picks"].items()}
        for row in ran.json["rows"]
    }


def test_seconds_dollars_and_shares_have_their_effect(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A price on waiting leaves the slow model; weights are met; a fixed model answers all."""
    found = picks(
        place, capfd, "utility:0", "utility:0,10", "weighted:small=1,large=3", "fixed:coder"
    )
    assert found["utility:0"]["large"] > 0.4
    assert "large" not in found["utility:0,10"]
    assert found["weighted:small=1,large=3"]["large"] == pytest.approx(0.75, abs=0.1)
    assert found["fixed:coder"] == {"coder": 1}


@pytest.mark.parametrize("flag", ["--table", "--table="])
def test_a_list_may_follow_one_flag(
    place: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path, flag: str
) -> None:
    """``--table A B`` is the same as a flag before each, wherever it stands."""
    one, two = (str(write_table(tmp_path, name, 60)) for name in ("one", "two"))
    first = (flag + one,) if flag.endswith("=") else (flag, one)
    told = ("--policy", "cheapest", "random", "--bundle", str(place / "bundle"), "--json")
    for arguments in ((*first, two, *told), (*told, *first, two)):
        ran = run(capfd, "eval", *arguments)
        assert ran.code == 0, ran.err
        assert [table["table"] for table in ran.json["tables"]] == ["one", "two"]
    repeated = run(capfd, "eval", "--table", one, "--table", two, *told)
    assert repeated.json == ran.json
    assert run(capfd, "eval", *told, one).code == 2  # a list ends at the next option
    assert run(capfd, "eval", *told, "--table").code == 2


def test_several_tables_have_a_report_each(
    place: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """And are trained on together where there is no bundle, as they would be to serve."""
    paths = [write_table(tmp_path, "one", 60), write_table(tmp_path, "two", 100)]
    both = [part for path in paths for part in ("--table", str(path))]
    command = ("eval", *both, "--policy", "strongest", "--policy", "cheapest_above_quality:0.9")
    picked = tmp_path / "picks.jsonl"
    ran = run(capfd, *command, "--json", "--picks", str(picked))
    assert ran.code == 0
    assert [(one["table"], one["prompts"]) for one in ran.json["tables"]] == [
        ("one", 60),
        ("two", 100),
    ]
    rows = [json.loads(line) for line in picked.read_text().splitlines()]
    assert {row["table"] for row in rows} == {"one", "two"}
    tables = [read_table(path) for path in paths]
    known = Predictions(success=grouped_folds(tables)[1])
    figures = evaluate(tables[1], {}, known).curve.figures
    told = ran.json["tables"][1]["curve"]["figures"]
    for name, figure in figures.items():
        assert told[name]["value"] == pytest.approx(figure.value), name
    shown = run(capfd, *command, "--bundle", str(place / "bundle"))
    assert (shown.code, "one: 60 prompts" in shown.out, "two: 100 prompts" in shown.out) == (
        0,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--plot", "curve.svg", "--table", "TWO"), "give one --table"),
        (("--table", "ONE"), "is given twice"),
    ],
)
def test_what_several_tables_cannot_have_is_said(
    place: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    """One plot for both, and one table twice."""
    names = {"ONE": str(place / "world"), "TWO": str(write_table(tmp_path, "two"))}
    told = [names.get(part, part) for part in more]
    ran = run(capfd, "eval", "--table", names["ONE"], *told)
    assert (ran.code, said in ran.err) == (2, True)


def test_names_with_commas_are_models_like_others(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In weights and in pairs, whatever else is at a comma."""
    models = np.array(["acme/small, v2", "acme/small", "large=1,b"])
    prefix = write_table(tmp_path, models=models)
    names = ("weighted:acme/small, v2=1,large=1,b=3", "weighted:large=1,b=1,acme/small=0")
    command = ("eval", "--table", str(prefix), "--json", "--pair", "acme/small, v2,large=1,b")
    ran = run(capfd, *command, "--policy", names[0], "--policy", names[1])
    assert ran.code == 0
    found = {row["name"]: row["picks"] for row in ran.json["rows"]}
    assert found[names[0]]["large=1,b"]["value"] == pytest.approx(0.75, abs=0.1)
    assert list(found[names[0]]) == ["large=1,b", "acme/small, v2"]
    assert list(found[names[1]]) == ["large=1,b"]
    refused = run(capfd, *command[:-1], "acme/small, v2")
    assert (refused.code, "two of the table's models" in refused.err) == (2, True)


def test_a_calibrated_share_is_evaluated_as_it_is_served(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With a promise in the bundle, the quality uses its threshold."""
    name = "cheapest_above_quality:0.9"
    before = picks(place, capfd, name)[name]
    promise = {"quality": 0.9, "threshold": 0.0, "lost": None}
    write_json(place / "bundle" / POLICY, {"promises": [promise]})
    seal(place / "bundle")
    after = picks(place, capfd, name)[name]
    assert before.get("large", 0) > 0
    assert after == {"small": 1}


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("nothing", "use one of cheapest, strongest"),
        ("fixed:nobody", "has no nobody; it has small, coder, large"),
        ("fixed:", "use one of cheapest"),
        ("utility:dear", "is not valid"),
        ("weighted:small", "use MODEL=SHARE|is not valid"),
        ("cheapest_above_quality:95", "'95' is not valid: shares and margins are"),
        ("cheapest_above_quality:nan", "'nan' is not valid"),
        ("cheapest_above_quality:0.9,2", "'0.9,2' is not valid"),
        ("cascade:0", "steps whole ones from 1 to 10"),
        ("cascade:2.5", "'2.5' is not valid"),
        ("utility:-5", "'-5' is not valid"),
        ("cheapest:0.9", "use one of"),
        ("weighted:nobody=1", "use MODEL=SHARE"),
        ("weighted:small=1,nobody=1", "use MODEL=SHARE"),
        ("weighted:small=1,large=much", "is not valid"),
    ],
)
def test_a_policy_that_cannot_be_made_is_one_line(
    place: Path, capfd: pytest.CaptureFixture[str], policy: str, words: str
) -> None:
    """Exit code 2 and the ones there are."""
    import re

    ran = run(capfd, *with_bundle(place), "--policy", policy)
    assert ran.code == 2
    assert re.search(words, ran.err)
    assert "Traceback" not in ran.err


def test_a_margin_is_replayed_and_needs_a_bundle(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A wide margin moves choices from models that are usually too weak."""
    found = picks(place, capfd, "cheapest_above_quality:0.98", "cheapest_above_quality:0.98,1")
    plain, wide = (found[f"cheapest_above_quality:0.98{more}"] for more in ("", ",1"))
    assert wide != plain
    ran = run(
        capfd, "eval", "--table", str(place / "world"), "--policy", "cheapest_above_quality:0.9,0.1"
    )
    assert ran.code != 0
    assert "add --bundle" in ran.err


def test_what_cannot_be_told_apart_is_one_line(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Prompts without a word, and a model without a score; both ended with a traceback."""
    table = tmp_path / "t.jsonl"
    rows = [
        {"id": n, "prompt": "", "model": m, "score": (n + p) % 2}
        for n in range(60)
        for p, m in enumerate("abd")
    ]
    table.write_text("\n".join(map(json.dumps, rows)))
    for command in (("eval",), ("train", "success", "--out", str(tmp_path / "b"))):
        ran = run(capfd, *command, "--table", str(table))
        assert ran.code == 2
        assert "all prompts are the same text" in ran.err
        assert "Traceback" not in ran.err
    told = [{**row, "prompt": f"question {row['id']}"} for row in rows]
    told += [{**row, "model": "c", "score": None} for row in told if row["model"] == "a"]
    table.write_text("\n".join(map(json.dumps, told)))
    ran = run(capfd, "eval", "--table", str(table), "--json")
    assert ran.code == 0
    assert "left out, without any score: c" in ran.err
    assert "Warning" not in ran.err


def test_a_table_too_small_for_folds_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Five prompts can be trained on, but not without one of them."""
    count = 5
    small = write_table(tmp_path, count=count, cost_usd=np.ones((count, 3)))
    ran = run(capfd, "eval", "--table", str(small))
    assert ran.code == 2
    assert "too small for folds, one of which leaves 4 prompts with scores" in ran.err
    assert "give more rows, or a bundle" in ran.err


def test_picks_are_a_row_for_each_prompt_and_policy(
    place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In the table's order; shares of them are those of the report."""
    target = tmp_path / "picks.jsonl"
    told = ("--table", str(place / "world"), "--bundle", str(place / "bundle"), "--json")
    ran = run(capfd, "eval", *told, "--policy", "utility:100", "--picks", str(target))
    assert ran.code == 0
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    mine = [row for row in rows if row["policy"] == "utility:100"]
    assert [row["id"] for row in mine] == read_table(place / "world").ids
    (shares,) = [row["picks"] for row in ran.json["rows"] if row["name"] == "utility:100"]
    for model, share in shares.items():
        picked = [row["model"] == model for row in mine]
        assert np.mean(picked) == pytest.approx(share["value"])
    assert all(row["cost_usd"] > 0 and row["latency_ms"] > 0 for row in mine)


def test_what_cannot_be_written_is_told_before_any_training(
    place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """No fold is trained for a report that has no place to go; a folder that is new is made."""
    (tmp_path / "file").touch()
    for option in ("--plot", "--picks", "--out"):
        for target, words in ((tmp_path, "is a folder"), (tmp_path / "file" / "x", "is a file")):
            ran = run(capfd, "eval", "--table", str(place / "world"), option, str(target))
            assert ran.code == 2
            assert words in ran.err
            assert "five grouped folds" not in ran.err
    ran = run(capfd, "eval", "--table", str(place / "world"), "--picks", "-", "--json")
    assert (ran.code, ran.out) == (2, "")
    assert "--picks -: standard output has the report; name a file" in ran.err
    target = tmp_path / "new" / "report.json"
    assert run(capfd, *with_bundle(place), "--out", str(target)).code == 0
    assert json.loads(target.read_text())["prompts"] == 240


def test_a_calibrated_share_is_told_and_so_is_its_table(
    place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Which share stands behind a quality; that it holds where it was found is no evidence."""
    bundle = tmp_path / "bundle"
    shutil.copytree(place / "bundle", bundle)
    promise = {"quality": 0.9, "threshold": 0.7, "lost": None, "table": "world"}
    write_json(bundle / POLICY, {"promises": [promise]})
    seal(bundle)
    told = ("--bundle", str(bundle), "--policy", "cheapest_above_quality:0.9", "--json")
    ran = run(capfd, "eval", "--table", str(place / "world"), *told)
    assert "cheapest_above_quality:0.9: calibrated, so the share is 0.7" in ran.err
    assert any("calibrated on a table of this name" in note for note in ran.json["notes"])
    other = run(capfd, "eval", "--table", str(write_table(tmp_path, "other")), *told)
    assert not any("calibrated on" in note for note in other.json["notes"])


def test_a_promise_counts_the_tables_costs_where_the_bundle_knows_none(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It was refused: the bundle's models without costs hid the table's."""
    table, bundle = write_table(tmp_path), unpriced_bundle(tmp_path)
    asked = ("--quality", "0.8", "--confidence", "0.5", "--json")
    ran = run(capfd, "calibrate", "--table", str(table), "--bundle", bundle, *asked)
    assert (ran.code, ran.json["promised"]) == (0, True)
    assert ran.json["saving"] > 0

"""Outcome tables: what is read, what is ignored, and what is refused with which words."""

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.success.worlds import MODELS, write_table
from turnout.classifiers.success.predictor import prompt_hashes
from turnout.core import ConfigError
from turnout.evaluation.driver import replay_policy
from turnout.evaluation.table_files import read_table
from turnout.features.prompt import row_text
from turnout.policies import Random
from turnout.training.crossfit import row_folds
from turnout.training.inner_folds import random_folds


def test_shared_format_is_read_with_costs(tmp_path: Path) -> None:
    """The three files give rows in order, models by exact name, and their costs."""
    table = read_table(write_table(tmp_path))
    assert table.models == MODELS
    assert table.score.shape == (240, 3)
    assert table.priced().score.shape == (240, 3)


def test_names_that_were_saved_as_bytes_are_the_same_names(tmp_path: Path) -> None:
    """Models are known by their exact names, however an array of text was written."""
    names, ids = ("naïve", "b", "c"), read_table(write_table(tmp_path)).ids
    encoded = [np.array([name.encode() for name in told]) for told in (names, ids)]
    table = read_table(write_table(tmp_path, models=encoded[0], ids=encoded[1]))
    assert (table.models, table.ids) == (names, ids)


def test_token_zero_is_unknown_and_prices_make_costs(tmp_path: Path) -> None:
    """A zero in a token column is unknown; with list prices the other cells get a cost."""
    tokens = np.full((240, 3), 1000, np.int32)
    tokens[0, 0] = 0
    prefix = write_table(tmp_path, in_tokens=tokens, out_tokens=tokens, cost_usd=None)
    meta = {"price_per_mtok": {"small": [1, 2], "large": [10, 20]}}
    Path(f"{prefix}.meta.json").write_text(json.dumps(meta))
    cost = read_table(prefix).cost_usd
    assert cost is not None
    assert np.isnan(cost[0, 0])
    assert cost[1, 0] == pytest.approx(0.003)
    assert np.isnan(cost[:, 1]).all()


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz", "t.parquet"])
def test_one_file_has_its_prices_beside_it(tmp_path: Path, name: str) -> None:
    """In the shared format's file; what a row says it cost counts before them."""
    rows = [{**row, "in_tokens": 1000, "out_tokens": 1000, "cost_usd": None} for row in OUTCOMES]
    rows[0]["cost_usd"] = 0.5
    _write_rows(tmp_path / name, rows)
    assert read_table(tmp_path / name).costed().cost_usd is None
    (tmp_path / "t.meta.json").write_text('{"price_per_mtok": {"a": [1, 2], "b": [3, 4]}}')
    table = read_table(tmp_path / name)
    assert table.prices == {"a": (1.0, 2.0), "b": (3.0, 4.0)}
    assert table.cost_usd is not None
    assert table.cost_usd[0].tolist() == pytest.approx([0.5, 0.007])
    assert table.cost_usd[1].tolist() == pytest.approx([0.003, 0.007])


def test_extra_columns_are_ignored_with_one_note(tmp_path: Path) -> None:
    """What the format does not know, in arrays or prompts, is named once and left alone."""
    prefix = write_table(tmp_path, mood=np.zeros(3))
    assert read_table(prefix).notes == ("ignored columns: mood",)
    source = Path(f"{prefix}.prompts.jsonl.gz")
    rows = [json.loads(line) for line in gzip.decompress(source.read_bytes()).splitlines()]
    rows[7]["seen"] = True
    source.write_text("\n".join(map(json.dumps, rows)))
    assert read_table(prefix).notes == ("ignored columns: mood, seen",)


def test_zero_token_counts_are_unknown(tmp_path: Path) -> None:
    """Tokens are integers, so that 0 is unknown in rows as it is in arrays; less is a mistake."""
    rows = [{**row, "output_tokens": int(row["id"]) % 2 * 9} for row in OUTCOMES]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = read_table(tmp_path / "t.jsonl").output_tokens
    assert found is not None
    assert np.isnan(found[:, 0]).sum() == 15
    assert np.nanmin(found) == 9
    prefix = write_table(tmp_path, out_tokens=np.full((240, 3), -1))
    with pytest.raises(ConfigError, match=r"row 1 .*: output_tokens of small is -1"):
        read_table(prefix)


def test_a_missing_cell_stays_missing(tmp_path: Path) -> None:
    """NaN in the scores is no outcome, never a wrong answer."""
    score = np.ones((240, 3), np.float32)
    score[0] = [np.nan, 0, 1]
    table = read_table(write_table(tmp_path, score=score))
    assert np.isnan(table.score[0, 0])
    assert np.nanmean(table.score[:, 0]) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"score": np.full((240, 3), np.nan)}, "no scores"),
        ({"score": np.ones((240, 3))}, "no variance"),
        ({"score": np.ones((239, 3))}, r"score has shape \(239, 3\)"),
        (
            {"models": np.array(["small"]), "score": np.eye(240)[:, :1], "cost_usd": None},
            "one model",
        ),
        ({"models": np.array(["a", "b", "a"])}, "duplicate model 'a' in columns 1 and 3"),
        ({"models": np.array(["a", "", "c"])}, "the model of column 2 has no name"),
        ({"models": np.array("abc")}, r"models has shape \(\); write a list, one name a column"),
        ({"score": np.full((240, 3), 7.0)}, r"row 1 \(name-0\): the score of small is 7; rescale"),
    ],
)
def test_unusable_tables_are_refused(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    """Each problem is one line that names it and where it is."""
    with pytest.raises(ConfigError, match=words):
        read_table(write_table(tmp_path, **changes))


def test_python_objects_and_missing_ids_are_named(tmp_path: Path) -> None:
    """Which array, or which row; nothing is unpickled."""
    prefix = write_table(tmp_path, models=np.array(MODELS, dtype=object))
    with pytest.raises(ConfigError, match=r"models holds Python objects.*astype\(str\)"):
        read_table(prefix)
    prefix = write_table(tmp_path)
    lines = [dict(row) for row in read_table(prefix).prompts]
    del lines[3]["id"]
    with gzip.open(f"{prefix}.prompts.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    with pytest.raises(ConfigError, match="row 4: no id; give it the scores', 'sum-3'"):
        read_table(prefix)


def test_a_prompt_without_text_gives_a_note(tmp_path: Path) -> None:
    """It is read as empty, and a note names the first."""
    prefix = write_table(tmp_path)
    table = read_table(prefix)
    assert not table.notes
    lines = [dict(row) for row in table.prompts]
    del lines[3]["prompt"]
    lines[5]["prompt"] = " "
    _rewrite(prefix, lines, table.score.astype(np.float32))
    (note,) = read_table(prefix).notes
    assert note.startswith("2 prompts without query, prompt or messages (first: row 4 (sum-3))")


def test_one_cost_beside_scores_by_model_is_refused(tmp_path: Path) -> None:
    """Whose cost would it be? One that is not known is nobody's."""
    place = tmp_path / "t.jsonl"
    rows = [{"id": n, "prompt": f"p {n}", "score": {"a": n % 2, "b": 1}} for n in range(4)]
    rows[2]["cost_usd"] = 0.5
    place.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ConfigError, match=r"line 3: cost_usd is 0\.5, .*write it by model"):
        read_table(place)
    place.write_text("".join(json.dumps({**row, "cost_usd": None}) + "\n" for row in rows))
    assert read_table(place).cost_usd is None
    place.write_text("".join(json.dumps({**row, "cost_usd": np.nan}) + "\n" for row in rows))
    assert read_table(place).cost_usd is None


def test_prompts_in_another_order_are_refused(tmp_path: Path) -> None:
    """Scores that belong to other prompts are not silently taken."""
    prefix = write_table(tmp_path)
    ids = np.array([f"other-{n}" for n in range(240)])
    write_table(tmp_path, ids=ids)
    with pytest.raises(ConfigError, match="row 1: prompt 'name-0' but scores of 'other-0'"):
        read_table(prefix)


def test_two_rows_with_halves_of_the_outcomes_are_joined(tmp_path: Path) -> None:
    """Two rows of one id and text without a clash are one row; a clash is an error."""
    prefix = write_table(tmp_path)
    table = read_table(prefix)
    lines = [dict(row) for row in table.prompts]
    lines[1] = dict(lines[0])
    score = table.score.astype(np.float32)
    score[0], score[1] = [1, np.nan, np.nan], [np.nan, 0, 1]
    _rewrite(prefix, lines, score)
    joined = read_table(prefix)
    assert joined.score[0].tolist() == [1, 0, 1]
    assert len(joined.prompts) == 239
    score[1, 0] = 0
    _rewrite(prefix, lines, score)
    with pytest.raises(ConfigError, match="duplicate id 'name-0' in rows 1 and 2"):
        read_table(prefix)


def test_one_row_an_outcome_and_one_row_a_prompt_agree(tmp_path: Path) -> None:
    """Both single-file shapes give the same table."""
    long, wide = tmp_path / "long.jsonl", tmp_path / "wide.jsonl"
    cells = [("q1", "a", 1), ("q1", "b", 0), ("q2", "a", 0), ("q2", "b", 1)]
    long.write_text(
        "".join(
            json.dumps({"id": i, "prompt": i, "model": m, "score": s}) + "\n" for i, m, s in cells
        )
    )
    wide.write_text(
        "".join(
            json.dumps({"id": i, "prompt": i, "score": {m: s for j, m, s in cells if j == i}})
            + "\n"
            for i in ("q1", "q2")
        )
    )
    assert read_table(long).score.tolist() == read_table(wide).score.tolist() == [[1, 0], [0, 1]]


def outcome(number: int, **more: object) -> dict[str, object]:
    """A row of a table with two models; None takes a field out."""
    row = {"id": str(number // 2), "prompt": f"question {number // 2}", "model": "ab"[number % 2]}
    return {k: v for k, v in {**row, "score": number % 2, **more}.items() if v is not None}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"score": 2}, "line 4: score is 2; use 0 to 1"),
        ({"score": -0.5}, "line 4: score is -0.5; use 0 to 1"),
        ({"score": "good"}, "line 4: score is 'good'; use a number"),
        ({"output_tokens": 10**400}, "0; use a number"),
        ({"id": "other", "prompt": None}, "line 4: id 'other' has no prompt in any row"),
        ({"prompt": "another"}, "line 4: duplicate id '1' with another prompt"),
    ],
)
def test_a_mistake_is_found_in_the_row_that_has_it(
    tmp_path: Path, changed: dict[str, object], words: str
) -> None:
    """By the row's number in the file, its field and value."""
    rows = [outcome(number, **(changed if number == 3 else {})) for number in range(8)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_table(tmp_path / "t.jsonl")


@pytest.mark.parametrize("silent", [2, 3])
def test_a_prompt_may_stand_in_one_row_of_its_id(tmp_path: Path, silent: int) -> None:
    """In the first or in a later one, which was taken for another prompt."""
    rows = [
        outcome(number, **({"prompt": None} if number == silent else {})) for number in range(8)
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read_table(tmp_path / "t.jsonl").prompts[1]["prompt"] == "question 1"


def test_comparisons_become_scores(tmp_path: Path) -> None:
    """A won comparison is 1, a lost one 0, a tie one half each, two bad answers are 0 each."""
    file = tmp_path / "pairs.jsonl"
    pair = {"prompt": "x", "model_a": "a", "model_b": "b"}
    winners = ("model_b", "tie", "tie (bothbad)")
    rows = [pair | {"id": str(n), "winner": winner} for n, winner in enumerate(winners)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_table(file).score.tolist() == [[0, 1], [0.5, 0.5], [0, 0]]


@pytest.mark.parametrize("winner", [None, float("nan")])
def test_a_comparison_without_a_verdict_is_no_tie(tmp_path: Path, winner: float | None) -> None:
    """Nobody has judged it: two missing cells, not two halves."""
    file = tmp_path / "pairs.jsonl"
    rows = [{"id": n, "prompt": f"x{n}", "model_a": "a", "model_b": "b"} for n in range(2)]
    told = [rows[0] | {"winner": "a"}, rows[1] | {"winner": winner}]
    file.write_text("".join(json.dumps(row) + "\n" for row in told))
    score = read_table(file).score
    assert score[0].tolist() == [1, 0]
    assert np.isnan(score[1]).all()


def test_a_model_compared_more_than_once_has_its_mean(tmp_path: Path) -> None:
    """Three models in a round robin on one prompt: two wins, one, none."""
    pairs = [("a", "b", "a"), ("a", "c", "a"), ("b", "c", "model_a")]
    rows = [
        {"id": "1", "prompt": "x", "model_a": a, "model_b": b, "winner": w} for a, b, w in pairs
    ]
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_table(file).score.tolist() == [[1, 0.5, 0]]


@pytest.mark.parametrize(
    ("name", "values", "scores"),
    [
        ("passed", [True, False], [1, 0]),
        ("rating", [5, 2], [1, 0.25]),
        ("judge", [10, 1], [1, 0]),
        ("score", [0.5, None], [0.5, None]),
        ("rating", [3, np.nan], [0.5, None]),
        ("judge", [np.nan, 10], [None, 1]),
        ("passed", [True, np.nan], [1, None]),
    ],
)
def test_tests_users_and_judges_may_have_scored(
    tmp_path: Path, name: str, values: list[object], scores: list[float | None]
) -> None:
    """Each scale becomes 0..1; nothing said is a missing cell."""
    file = tmp_path / "scored.jsonl"
    rows = [
        {"id": "1", "prompt": "x", "model": m, name: v} for m, v in zip("ab", values, strict=True)
    ]
    rows.append({"id": "2", "prompt": "y", "model": "a", name: values[1]})
    rows.append({"id": "2", "prompt": "y", "model": "b", name: values[0]})
    rows.append({"id": "3", "prompt": "z", "model": "a", "score": 0})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first = [None if np.isnan(cell) else cell for cell in read_table(file).score[0].tolist()]
    assert first == scores


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"id": "1", "prompt": "other", "model": "b", "score": 1}, "line 2: duplicate id '1' with"),
        ({"id": "1", "prompt": "x", "model": "a", "score": 1}, "line 2: duplicate outcome of a"),
        ({"model": "b", "score": 1}, "line 2: neither id nor prompt"),
        ({"id": "1", "prompt": "x", "model": "b"}, "line 2: no score; give score, passed"),
        ({"id": "1", "prompt": "x", "score": 1}, "line 2: a score without a model"),
        ({"id": "1", "prompt": "x", "model": "", "score": 1}, "line 2: a score without a model"),
        (
            {"id": "1", "prompt": "x", "model": "b", "score": 1, "cost_usd": -1},
            "line 2: cost_usd is -1; use a number from 0 to 1e+12",
        ),
        (
            {"id": "1", "prompt": "x", "model": "b", "score": 1, "cost_usd": 1e308},
            "line 2: cost_usd is 1e+308; use a number from 0 to 1e+12",
        ),
        ({"id": "1", "prompt": "x", "model": "b", "score": "good"}, "line 2: score is 'good'"),
        ({"id": "1", "prompt": "x", "model": "b", "rating": 9}, "line 2: rating is 9; use 1 to 5"),
        ({"id": "1", "prompt": "x", "model": "b", "passed": "yes"}, "use true or false"),
        (
            {"id": "1", "prompt": "x", "model_a": "a", "model_b": "b", "winner": "c"},
            "line 2: winner 'c'; use model_a, model_b, tie or tie (bothbad)",
        ),
    ],
)
def test_a_row_that_cannot_be_used_is_named_with_the_fix(
    tmp_path: Path, row: dict[str, object], words: str
) -> None:
    """One line says which row, what is wrong and what would help."""
    file = tmp_path / "t.jsonl"
    rows = [{"id": "1", "prompt": "x", "model": "a", "score": 0}, row]
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_table(file)


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_a_file_without_rows_says_so(tmp_path: Path, text: str) -> None:
    """Not that its scores are missing."""
    file = tmp_path / "t.jsonl"
    file.write_text(text)
    with pytest.raises(ConfigError, match="table t: no rows; give"):
        read_table(file)


OUTCOMES = [
    {"id": str(number), "prompt": f"question {number}", "model": model, "cost_usd": "NaN",
     "score": (number + place) % 2, "in_tokens": 7, "out_tokens": {"a": 1, "b": 2}[model]}
    for number in range(30)
    for place, model in enumerate("ab")
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "ends", "mark", "packed"),
    [
        ("plain.jsonl", "\n", b"", False),
        ("windows.jsonl", "\r\n", b"\xef\xbb\xbf", False),
        ("packed.jsonl.gz", "\n", b"", True),
        ("packed.jsonl", "\r\n", b"\xef\xbb\xbf", True),
        ("unpacked.jsonl.gz", "\n", b"", False),
    ],
)
def test_rows_are_read_however_they_were_written(
    tmp_path: Path, name: str, ends: str, mark: bytes, *, packed: bool
) -> None:
    """Line ends, a byte order mark and gzip, whatever the name says of it."""
    data = mark + ends.join(json.dumps(row) for row in OUTCOMES).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if packed else data)
    table = read_table(tmp_path / name)
    assert table.score.shape == (30, 2)
    assert table.notes == ()
    assert table.input_tokens is not None
    assert table.output_tokens is not None
    assert table.input_tokens[0].tolist() == [7, 7]
    assert table.output_tokens[0].tolist() == [1, 2]


def test_a_column_without_known_costs_is_none(tmp_path: Path) -> None:
    """A column of NaN is no column: the table is of quality only, and says so."""
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, OUTCOMES)))
    assert read_table(tmp_path / "t.jsonl").cost_usd is None


def test_a_line_is_named_by_its_number(tmp_path: Path) -> None:
    """Blank lines count, as an editor counts them; a score belongs to a model with a name."""
    place = tmp_path / "t.jsonl"
    place.write_text('{"id": 1, "prompt": "p", "score": {"a": 1, "b": 0}}\n\n{"id": 2}\n')
    with pytest.raises(ConfigError, match="t, line 3: no score"):
        read_table(place)
    place.write_text('\n{"id": 1, "prompt": "p", "score": {"a": 1, " ": 0}}\n')
    with pytest.raises(ConfigError, match="t, line 2: a score of a model without a name"):
        read_table(place)
    for nameless in ('""', "null", "{}"):
        pair = f'"model_a": "a", "model_b": {nameless}, "winner": "a"'
        place.write_text(f'{{"id": 1, "prompt": "p", {pair}}}\n')
        with pytest.raises(ConfigError, match="t, line 1: a score of a model without a name"):
            read_table(place)


@pytest.mark.parametrize("left", [0, 400])
def test_damaged_arrays_are_one_line(tmp_path: Path, left: int) -> None:
    """Where a copy broke off, or never began."""
    file = Path(f"{write_table(tmp_path)}.npz")
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(ConfigError, match=r"\.npz: not a plain \.npz file"):
        read_table(file)


@pytest.mark.parametrize("wrong", [-0.5, 1e308, np.inf])
def test_an_impossible_cost_in_arrays_is_named(tmp_path: Path, wrong: float) -> None:
    """Row, id and model, as for a score."""
    prefix = write_table(tmp_path)
    with np.load(f"{prefix}.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["cost_usd"][3, 1] = wrong
    np.savez(f"{prefix}.npz", **arrays)
    with pytest.raises(
        ConfigError, match=r"row 4 \(.*\): cost_usd of .* use a number from 0 to 1e\+12"
    ):
        read_table(prefix)


@pytest.mark.parametrize(
    ("prices", "words"),
    [
        ({"small": "cheap"}, "price of small is 'cheap'; write [in, out]"),
        ({"small": [1]}, "price of small is [1]; write [in, out]"),
        ({"small": [1, -2]}, "price of small is [1, -2]; write [in, out]"),
        ({"small": [1, float("nan")]}, "price of small is [1, nan]; write [in, out]"),
        ({"small": [1e-7, 4e-7]}, "price of small, [1e-07, 4e-07], looks like that of one token"),
        ([1, 2], "price_per_mtok is no object"),
    ],
)
def test_a_price_that_is_none_is_named(tmp_path: Path, prices: object, words: str) -> None:
    """What no cost can be made of ended with a traceback, or would make it negative."""
    prefix = write_table(tmp_path)
    Path(f"{prefix}.meta.json").write_text(json.dumps({"price_per_mtok": prices}))
    with pytest.raises(ConfigError) as caught:
        read_table(prefix)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [("[1]", 'not an object; write {"price_per_mtok": {model: [in, out]}}'), ("{", "not JSON: ")],
)
def test_prices_that_are_no_object_are_named(tmp_path: Path, text: str, words: str) -> None:
    """With what to write, not with what failed inside."""
    prefix = write_table(tmp_path)
    Path(f"{prefix}.meta.json").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_table(prefix)
    assert f"{prefix}.meta.json: {words}" in str(caught.value)


def test_a_price_of_null_is_unknown(tmp_path: Path) -> None:
    """The other models keep theirs."""
    counted = np.full((240, 3), 1000)
    prefix = write_table(tmp_path, cost_usd=None, in_tokens=counted, out_tokens=counted)
    told = {"price_per_mtok": {"small": None, "coder": [1, 1], "large": [2, 3]}}
    Path(f"{prefix}.meta.json").write_text(json.dumps(told))
    cost = read_table(prefix).cost_usd
    assert cost is not None
    assert np.isnan(cost[0, 0])
    assert cost[0, 2] == pytest.approx(0.005)


@pytest.mark.parametrize("score", ["good", 1j])
def test_scores_that_are_no_numbers_are_refused(tmp_path: Path, score: object) -> None:
    """With the array's name; a complex number lost its imaginary part."""
    prefix = write_table(tmp_path, score=np.full((240, 3), score))
    with pytest.raises(ConfigError, match="score holds no numbers"):
        read_table(prefix)


def test_an_unknown_model_is_left_out_of_comparisons(tmp_path: Path) -> None:
    """Its mean is no number, which would count as the best one."""
    rows = [*OUTCOMES, {"id": "0", "prompt": "question 0", "model": "c", "score": None}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    table = read_table(tmp_path / "t.jsonl")
    assert table.models == ("a", "b", "c")
    assert table.answered().models == ("a", "b")
    assert table.answered().notes == ("left out, without any score: c",)
    assert table.columns(["a", "b"]).answered().notes == ()


def test_parquet_is_read(tmp_path: Path) -> None:
    """A Parquet file with a row an outcome is a table."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"id": ["1", "1"], "prompt": ["x", "x"], "model": ["a", "b"], "score": [0.0, 1.0]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").models == ("a", "b")


def test_parquet_is_read_however_it_was_written(tmp_path: Path) -> None:
    """Text that is not marked as text, maps and structs of scores, and a row without any."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    scores = [{"a": 0.0, "b": 1.0}, {"a": 1.0, "b": None}, None]
    ids, texts = ["1", "2", "3"], [b"x", "\u00e4".encode(), b"z"]
    kinds = {"map": pa.map_(pa.string(), pa.float64()), "struct": None}
    for name, kind in kinds.items():
        told = [s and list(s.items()) for s in scores] if kind else scores
        columns = {"id": ids, "prompt": texts, "score": pa.array(told, kind)}
        parquet.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
        table = read_table(tmp_path / f"{name}.parquet")
        assert (table.ids, table.models) == (ids, ("a", "b"))
        assert table.column("prompt") == ["x", "\u00e4", "z"]
        assert np.isnan(table.score).tolist() == [[False] * 2, [False, True], [True] * 2]
    parquet.write_table(pa.table({"prompt": [b"\xff"]}), tmp_path / "odd.parquet")
    with pytest.raises(ConfigError, match=r"odd\.parquet: "):
        read_table(tmp_path / "odd.parquet")


def test_tokens_may_have_either_name_in_each_row(tmp_path: Path) -> None:
    """Parquet of two sources has both columns, one of which is null in each row."""
    pytest.importorskip("pyarrow")
    names = [("input_tokens", "in_tokens"), ("in_tokens", "input_tokens")]
    both = [dict(zip(names[n % 2], (7, None), strict=True)) for n in range(len(OUTCOMES))]
    rows = [{**row, **tokens} for row, tokens in zip(OUTCOMES, both, strict=True)]
    _write_rows(tmp_path / "t.parquet", rows)
    found = read_table(tmp_path / "t.parquet").input_tokens
    assert found is not None
    assert (found == 7).all()


@pytest.mark.parametrize("missing", [None, float("nan")])
@pytest.mark.parametrize("unscored_first", [True, False])
def test_a_row_without_a_score_is_no_second_outcome(
    tmp_path: Path, *, missing: float | None, unscored_first: bool
) -> None:
    """As where halves of a table were put together; what the scored row says counts."""
    scored = [{**row, "cost_usd": 0.5} for row in OUTCOMES]
    blank = [{**row, "score": missing, "cost_usd": 0.1, "latency_ms": 9} for row in OUTCOMES]
    rows = [*blank, *scored] if unscored_first else [*scored, *blank]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    _write_rows(tmp_path / "plain.jsonl", scored)
    found, plain = read_table(tmp_path / "t.jsonl"), read_table(tmp_path / "plain.jsonl")
    assert np.array_equal(found.score, plain.score)
    assert found.cost_usd is not None
    assert found.latency_ms is not None
    assert (found.cost_usd == 0.5).all()
    assert (found.latency_ms == 9).all()


def test_other_columns_of_parquet_are_not_read(tmp_path: Path) -> None:
    """Pictures, embeddings, two columns of one name: named in the one note, whatever they hold."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.Table.from_pylist(OUTCOMES)
    others = {"photo": [b"\xff\xfe"], "vector": [[0.1, 0.2]], "note": ["x"]}
    for name, value in [*others.items(), ("note", ["y"])]:
        table = table.append_column(name, pa.array(value * len(OUTCOMES)))
    parquet.write_table(table, tmp_path / "t.parquet")
    _write_rows(tmp_path / "plain.parquet", OUTCOMES)
    found, plain = read_table(tmp_path / "t.parquet"), read_table(tmp_path / "plain.parquet")
    assert found.notes == ("ignored columns: note, photo, vector",)
    assert found.prompts == plain.prompts
    assert np.array_equal(found.score, plain.score)


def test_half_an_emoji_has_a_place_in_the_folds(tmp_path: Path) -> None:
    """A log may cut a text off there: it is learned from, and known again."""
    rows = [{**row, "prompt": f"{row['prompt']} \ud83d"} for row in OUTCOMES]
    _write_rows(tmp_path / "t.jsonl", rows)
    table = read_table(tmp_path / "t.jsonl")
    prompts = [row_text(row) for row in table.prompts]
    assert len(set(prompt_hashes(prompts).tolist())) == len(set(prompts))
    assert set(row_folds(table).tolist()) == set(range(5))
    tested = [set(test.tolist()) for _, test in random_folds([p.text for p in prompts], seed=0)]
    assert set().union(*tested) == set(range(len(prompts)))


def test_an_id_may_end_in_half_an_emoji(tmp_path: Path) -> None:
    """Its prompt is decided like any other, and is found again under that id."""
    rows = [{**row, "id": f"{row['id']}\ud83d"} for row in OUTCOMES]
    _write_rows(tmp_path / "t.jsonl", rows)
    table = read_table(tmp_path / "t.jsonl")
    assert table.ids[0].endswith("\ud83d")
    success = np.full((len(table.prompts), len(table.models)), 0.5)
    assert not np.isnan(
        replay_policy(table, Random(), success, dict.fromkeys(table.models, 0.01)).score
    ).all()


def _write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    if path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        return
    text = "\n".join(map(json.dumps, rows)).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def _rewrite(prefix: Path, lines: list[dict[str, object]], score: np.ndarray) -> None:
    with np.load(f"{prefix}.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays |= {"score": score, "ids": np.array([line["id"] for line in lines])}
    np.savez(f"{prefix}.npz", **arrays)
    with gzip.open(f"{prefix}.prompts.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


@pytest.mark.parametrize(
    "buckets", [[2 + 5 * n for n in range(14)], [7], [np.nan], [f"b{n}" for n in range(30)]]
)
def test_every_fold_has_rows_whatever_the_buckets_are(
    tmp_path: Path, buckets: list[object]
) -> None:
    """Those of one fold of a larger table, a single one, none that is known, or names."""
    table = read_table(write_table(tmp_path))
    rows = tuple(
        {**row, "bucket": buckets[n % len(buckets)]} for n, row in enumerate(table.prompts)
    )
    place = row_folds(replace(table, prompts=rows))
    assert set(place.tolist()) == {0, 1, 2, 3, 4}
    names = [str(row["bucket"]) for row in rows]
    if len(set(names)) > 5:
        assert len(set(zip(names, place.tolist(), strict=True))) == len(set(names))


def test_folds_follow_buckets_if_these_fill_every_fold(tmp_path: Path) -> None:
    """Modulo five, as the benchmark has them."""
    table = read_table(write_table(tmp_path))
    assert row_folds(table).tolist() == [n % 70 % 5 for n in range(240)]

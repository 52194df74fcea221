"""``turnout predict``: a line for each line, whatever the line is."""

import gzip
import json
from pathlib import Path

import pytest

from tests.cli.run import run
from tests.success.worlds import MODELS, trained_predictor, write_table
from turnout.evaluation.table_files import read_table
from turnout.training.bundle import write_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the small world."""
    folder = tmp_path_factory.mktemp("predict")
    table = read_table(write_table(folder))
    write_bundle(trained_predictor(), [table], folder / "bundle")
    return folder / "bundle"


LINES = [
    b'{"id": "a", "prompt": "Name a bird."}',
    b"not json",
    b'{"id": 7, "query": "Name a city.", "prompt": "ignored"}',
    b"[1, 2]",
    b'{"id": "m", "messages": 5}',
    b'{"id": "n", "messages": [{"role": "user", "content": "Name a bird."}], "task": "x"}',
    b"\xff\xfe",
]


@pytest.mark.parametrize("packed", [False, True])
def test_every_line_has_its_line(
    bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], *, packed: bool
) -> None:
    """In order, with exact model names; what cannot be read is marked and told by its number."""
    source = tmp_path / ("p.jsonl.gz" if packed else "p.jsonl")
    data = b"\n".join(LINES) + b"\n"
    source.write_bytes(gzip.compress(data) if packed else data)
    target = tmp_path / "out.jsonl"
    ran = run(
        capfd, "predict", "--prompts", str(source), "--bundle", str(bundle), "--out", str(target)
    )
    found = [json.loads(line) for line in target.read_text().splitlines()]
    assert ran.code == 1
    assert [row["id"] for row in found] == ["a", 2, 7, 4, "m", "n", 7]
    assert [n for n, row in enumerate(found, 1) if "error" in row] == [2, 4, 7]
    for number in (2, 4, 7):
        assert f"line {number}: " in ran.err
    assert all(list(row["success"]) == list(MODELS) for row in found)
    assert all(0 < p < 1 for row in found for p in row["success"].values())
    assert found[0]["success"] == found[5]["success"]


def test_a_line_without_an_id_gets_its_number(
    bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As from classify, so that lines can be joined; an id of null is one."""
    source = tmp_path / "p.jsonl"
    source.write_text('\n{"query": "A bird."}\n\n{"id": null, "query": "A city."}\n')
    ran = run(capfd, "predict", "--prompts", str(source), "--bundle", str(bundle), "--out", "-")
    assert [json.loads(line)["id"] for line in ran.out.splitlines()] == [2, None]


def test_what_is_called_gzip_is_gzip(
    bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whoever opens it by its name can read it."""
    source, target = tmp_path / "p.jsonl", tmp_path / "out.jsonl.gz"
    source.write_bytes(LINES[0])
    told = ("--prompts", str(source), "--bundle", str(bundle), "--out", str(target))
    assert run(capfd, "predict", *told).code == 0
    assert json.loads(gzip.decompress(target.read_bytes()))["id"] == "a"


ODD = [
    b'{"id": 12345678901234567890123, "query": "An id of many bits."}',
    b'{"id": "\\ud800", "query": "An id that is half of a character."}',
    b'{"id": "c", "messages": [1, {"role": "user", "content": [2, {"type": "text", "text": 3}]}]}',
    b'{"id": "d", "messages": [{"role": "user", "content": 7}]}',
    b'{"id": "e", "query": "Tools of no end.", "functions": "' + b"[" * 100_000 + b'"}',
    b"[" * 100_000,
]


def test_an_odd_line_has_its_line(
    bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever an id or a message is made of; what is nested without end cannot be read."""
    source = tmp_path / "p.jsonl"
    source.write_bytes(b"\n".join(ODD) + b"\n")
    ran = run(capfd, "predict", "--prompts", str(source), "--bundle", str(bundle), "--out", "-")
    found = [json.loads(line) for line in ran.out.splitlines()]
    ids = [12345678901234567890123, "\ud800", "c", "d", "e", 6]
    assert [row["id"] for row in found] == ids
    assert [n for n, row in enumerate(found, 1) if "error" in row] == [6]
    assert "line 6: nested too deeply" in ran.err


def test_only_what_the_page_names_is_read(
    bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """No other field changes a prediction, be its name that of an API's."""
    tool = {"name": "add", "description": "Adds numbers", "parameters": {}}
    known = {"query": "Add 2 and 3.", "functions": [tool]}
    other = {"tools": [tool] * 9, "task": "sums", "split": "test", "bucket": 3, "cluster_id": 9}
    rows = [
        known,
        {**known, **other},
        {"query": "Add 2 and 3."},
        {"query": "Add 2 and 3.", **other},
    ]
    source = tmp_path / "p.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)))
    ran = run(capfd, "predict", "--prompts", str(source), "--bundle", str(bundle), "--out", "-")
    found = [json.loads(line)["success"] for line in ran.out.splitlines()]
    assert found[0] == found[1]
    assert found[2] == found[3]


@pytest.mark.parametrize("packed", [False, True])
def test_a_dash_is_standard_input(
    bundle: Path, capfd: pytest.CaptureFixture[str], *, packed: bool
) -> None:
    """As for classify, packed or not."""
    data = gzip.compress(LINES[0]) if packed else LINES[0]
    arguments = ("predict", "--prompts", "-", "--bundle", str(bundle), "--out", "-")
    assert json.loads(run(capfd, *arguments, stdin=data).out)["id"] == "a"


def test_the_prompts_are_not_written_over(
    bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The same file to read and to write is a mistake."""
    source = tmp_path / "p.jsonl"
    source.write_bytes(LINES[0])
    place = str(source)
    ran = run(capfd, "predict", "--prompts", place, "--bundle", str(bundle), "--out", place)
    assert (ran.code, source.read_bytes()) == (2, LINES[0])
    assert "is the file to read" in ran.err


def test_a_dash_is_standard_output(
    bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As everywhere: no file of that name, and nothing but the lines there."""
    source = tmp_path / "p.jsonl"
    source.write_bytes(LINES[0] + b"\n")
    ran = run(capfd, "predict", "--prompts", str(source), "--bundle", str(bundle), "--out", "-")
    assert json.loads(ran.out)["id"] == "a"
    assert "1 prompt x" in ran.err
    assert not (tmp_path / "-").exists()


def test_many_lines_are_written_as_they_are_read(
    bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In order over batches, each line as if it were alone; a late bad one is told, too."""
    rows = [json.dumps({"id": n, "prompt": f"Name a bird ({n})."}) for n in range(700)]
    rows[650] = "{"
    source = tmp_path / "p.jsonl"
    source.write_text("\n".join(rows))
    ran = run(capfd, "predict", "--prompts", str(source), "--bundle", str(bundle), "--out", "-")
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 1
    assert "line 651: not JSON" in ran.err
    assert [row["id"] for row in found if "error" not in row] == [*range(650), *range(651, 700)]
    source.write_text(rows[600])
    alone = run(capfd, "predict", "--prompts", str(source), "--bundle", str(bundle), "--out", "-")
    assert json.loads(alone.out) == found[600]


def test_what_cannot_be_read_leaves_no_file(
    bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nor does it empty one that is there."""
    target = tmp_path / "out.jsonl"
    target.write_text("kept")
    told = ("--prompts", str(tmp_path / "no.jsonl"), "--bundle", str(bundle), "--out", str(target))
    assert run(capfd, "predict", *told).code == 2
    assert target.read_text() == "kept"


def test_a_broken_gzip_is_one_line(
    bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """No traceback, and what was written before stays."""
    source = tmp_path / "p.jsonl.gz"
    source.write_bytes(gzip.compress((LINES[0] + b"\n") * 1000)[:-6])
    target = tmp_path / "out.jsonl"
    target.write_text("kept")
    ran = run(
        capfd, "predict", "--prompts", str(source), "--bundle", str(bundle), "--out", str(target)
    )
    assert ran.code == 2
    assert "its gzip is damaged" in ran.err
    assert target.read_text() == "kept"

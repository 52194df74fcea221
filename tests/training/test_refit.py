"""Parts of an artefact, fitted anew where all else in it stays as it is."""

import resource
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from tests.cli.run import run
from turnout.classifiers import LocalClassifier
from turnout.classifiers.artefact import Artefact
from turnout.classifiers.encoder import shared_encoder
from turnout.core import ConfigError
from turnout.training.intents import refit


def _rows(folder: Path, *rows: dict[str, Any]) -> Path:
    place = folder / "rows.jsonl"
    told = [{"source": "own/x", "licence": "own", **row} for row in rows]
    place.write_bytes(b"\n".join(map(orjson.dumps, told)))
    return place


def _prompts() -> list[dict[str, str]]:
    asked = ("Sort these numbers in Rust.", "Write a poem about rain.", "Why is the sky blue?")
    intents = ("code", "creative", "simple_qa")
    return [{"text": t, "intent": i} for t, i in zip(asked, intents, strict=True)]


def test_all_text_except_asides_is_kept(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Heads, thresholds and card, to the last bit."""
    mould = {"text": "{prompt}\nZorblatt frumious.", "kind": "talk"}
    rows, out = _rows(tmp_path, mould, *_prompts()), tmp_path / "new.zip"
    ran = run(capfd, "train", "asides", str(rows), "--out", str(out), "--json")
    fitted, shipped = Artefact.load(out), Artefact.load()
    assert orjson.loads(ran.out) == {"artefact": str(out), "digest": fitted.digest}
    assert fitted.digest != shipped.digest
    assert fitted.card.startswith(shipped.card)
    assert "| own/x | own | 4 |" in fitted.card
    for name in shipped.arrays.keys() | fitted.arrays.keys():
        if not name.startswith("aside_"):
            assert np.array_equal(shipped.arrays[name], fitted.arrays[name])
    without = {**shipped.meta, "asides": None}
    assert {**fitted.meta, "asides": None} == without
    assert LocalClassifier.load(out).predict([{"role": "user", "content": "hi"}]).intents


def test_without_a_mould_there_is_nothing_to_learn(tmp_path: Path) -> None:
    """The error says which kinds are missing."""
    rows = _rows(tmp_path, *_prompts())
    with pytest.raises(ConfigError, match="none of 3 rows has the kind label_attack or talk"):
        refit("asides", [rows], date="2026-11-29")


def test_a_full_disk_leaves_the_artefact_that_was_there(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A gateway that loads it in the meantime, or later, finds a whole one."""
    mould = {"text": "{prompt}\nZorblatt frumious.", "kind": "talk"}
    rows, out = _rows(tmp_path, mould, *_prompts()), tmp_path / "new.zip"
    out.write_bytes(b"kept")
    shared_encoder()  # its table is unpacked into a file, which must find room
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    ran = run(capfd, "train", "asides", str(rows), "--out", str(out))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ran.code == 2
    assert f"{out}: cannot be written (File too large)" in ran.err
    assert (out.read_bytes(), sorted(tmp_path.iterdir())) == (b"kept", [out, rows])


@pytest.mark.parametrize(
    ("name", "problem"),
    [("rows.jsonl", "is the file to read"), ("-", "does not mean standard output")],
)
def test_what_cannot_be_written_is_told_before_training(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, name: str, problem: str
) -> None:
    """Training takes its time, and rows are not written over."""
    rows = _rows(tmp_path, *_prompts())
    before = rows.read_bytes()
    place = name if name == "-" else str(tmp_path / name)
    ran = run(capfd, "train", "asides", str(rows), "--out", place)
    assert ran.code == 2
    assert problem in ran.err
    assert rows.read_bytes() == before


def test_what_follows_is_learned_from_conversations(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Here a nonsense word goes on with the task, and a known question does too: all else stays."""
    begun = [
        {"role": "user", "content": "Sort these numbers in Rust."},
        {"role": "assistant", "content": "v.sort();"},
    ]
    following = [{"text": text, "kind": "affirm"} for text in ("zorblatt", "What is rain?")]
    switch = {"text": "Write a poem about rain.", "kind": "switch", "intent": "creative"}
    told = {"messages": begun, "intent": "code", "next": [*following, switch]}
    rows, out = _rows(tmp_path, told, *_prompts()), tmp_path / "new.zip"
    ran = run(capfd, "train", "follows", str(rows), "--out", str(out), "--json")
    fitted, shipped = Artefact.load(out), Artefact.load()
    assert orjson.loads(ran.out) == {"artefact": str(out), "digest": fitted.digest}
    assert fitted.card.startswith(shipped.card)
    assert "| own/x | own | 6 |" in fitted.card
    for name in shipped.arrays.keys() | fitted.arrays.keys():
        same = np.array_equal(shipped.arrays[name], fitted.arrays[name])
        assert same is not name.startswith("follow_")
    last = {"role": "user", "content": "What is rain?"}
    intents = [LocalClassifier.load(path).predict([*begun, last]).intent for path in (out, None)]
    assert intents == ["code", "simple_qa"]


@pytest.mark.parametrize(
    ("kind", "missing"),
    [("affirm", "has a task of its own"), ("switch", "has two turns of the user")],
)
def test_one_kind_of_turn_is_refused(kind: str, missing: str, tmp_path: Path) -> None:
    """The error says which kind is missing."""
    said = [{"role": role, "content": "sort"} for role in ("user", "assistant", "user")]
    told = {"messages": said, "intent": "code", "kind": kind}
    rows = _rows(tmp_path, told)
    with pytest.raises(ConfigError, match=f"none of 1 rows that may be used {missing}"):
        refit("follows", [rows], date="2026-11-29")

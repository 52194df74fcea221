"""``turnout classify``: one verdict a line, as served, whatever the lines hold."""

import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.cli.run import run
from tests.runtime.test_own_intents import ASKED, BILLING
from tests.runtime.world import CODE, FACT, PATIENT, UNSAFE, config
from turnout.classifiers import LocalClassifier
from turnout.testing import FaultyUpstream

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
LETTER = "Write a formal letter to my landlord about the broken heating"


def jsonl_file(path: Path, rows: list[Any]) -> str:
    """The rows as a JSONL file."""
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return str(path)


def verdicts(text: str) -> list[dict[str, Any]]:
    """Standard output as rows."""
    return [orjson.loads(line) for line in text.splitlines()]


def test_without_a_configuration_all_labels_and_the_shipped_threshold_apply(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """``unsafe`` is the larger score, unrounded, and the label is unsafe from the threshold on."""
    rows = [{"id": i, "text": text} for i, text in enumerate((FACT, CODE, UNSAFE, LETTER))]
    ran = run(capfd, "classify", "--in", jsonl_file(tmp_path / "a.jsonl", rows), "--out", "-")
    found, classifier = verdicts(ran.out), LocalClassifier.load()
    assert (ran.code, [row["id"] for row in found]) == (0, [0, 1, 2, 3])
    assert [row["intent"] for row in found] == ["simple_qa", "code", "unsafe", "writing"]
    for row in found:
        assert list(row) == ["id", "intent", "intents", "unsafe", "injection", "language"]
        assert set(row["intents"]) == set(classifier.intents)
        assert (row["intent"] == "unsafe") == (row["unsafe"] >= classifier.threshold)
        assert row["injection"] <= row["unsafe"]
        assert row["language"] == "en"


def test_a_gzipped_file_is_read_as_it_is(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """By its content, not by its name; a damaged one is an error."""
    path = tmp_path / "rows"
    path.write_bytes(gzip.compress(orjson.dumps({"id": "z", "text": FACT}) + b"\n"))
    ran = run(capfd, "classify", "--in", str(path), "--out", "-")
    assert (ran.code, verdicts(ran.out)[0]["id"]) == (0, "z")
    whole, target = path.read_bytes(), tmp_path / "out.jsonl"
    target.write_text("kept")
    for damaged in (whole[:-12], whole[:-8] + bytes(8)):
        path.write_bytes(damaged)
        ran = run(capfd, "classify", "--in", str(path), "--out", str(target))
        assert (ran.code, target.read_text()) == (2, "kept")
        assert "rows: its gzip is damaged" in ran.err


def test_a_bad_line_costs_only_itself(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad bytes, too long lines, texts that are none: each by its number, the rest in order."""
    monkeypatch.setattr("turnout.cli.jsonl.MAX_LINE_BYTES", 2000)
    lines = [
        b'{"id": 1, "text": "ciao"}',
        b'{"id": 2, "text": "\xff\xfe"}',
        orjson.dumps({"id": 3, "text": "long " * 1000}),
        b'{"id": 4, "text": 7}',
        b'{"id": 5, "text": null}',
        b'{"id": 6, "text": ["a"]}',
        b'{"id": 7, "messages": []}',
        b'{"id": 8, "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}',
        b'["id", 9]',
        b'{"id": 1, "text": "ciao"}',
        b'{"id": null, "text": "\\ud800"}',
        b'{"id": {"a": [1]}, "text": "ciao", "more": true}',
        b'{"id": "n", "text": "ciao", "score": NaN, "huge": 1' + b"0" * 400 + b"}",
        b'{"id": "e", "text": ""}',
    ]
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n".join(lines))
    ran = run(capfd, "classify", "--in", str(path), "--out", "-")
    assert ran.code == 1
    assert [row["id"] for row in verdicts(ran.out)] == [1, 8, 1, {"a": [1]}, "n"]
    for number, why in (
        (2, "not JSON"),
        (3, "longer than"),
        (4, "text must be a string, not int"),
        (5, "has neither text nor messages"),
        (6, "text must be a string, not list"),
        (7, "messages must be a list with at least one message"),
        (9, "not a JSON object"),
        (11, "messages[0] holds a lone surrogate"),
    ):
        assert f"line {number}: {why}" in ran.err
    assert "line 14: the prompt is empty: give it some content" in ran.err
    assert "left out 9 bad lines" in ran.err


def test_a_conversation_without_words_is_the_worst_case(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Nothing to read is no verdict, which blocks, and its score says so."""
    rows = [{"id": 1, "messages": [{"role": "user", "content": [IMAGE]}]}]
    ran = run(capfd, "classify", "--in", jsonl_file(tmp_path / "a.jsonl", rows), "--out", "-")
    row = verdicts(ran.out)[0]
    assert (row["intent"], row["unsafe"]) == ("unsafe", 1.0)


@pytest.mark.parametrize("kind", ["local", "llm"])
def test_where_nothing_tells_the_intent_all_labels_are_as_likely(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, kind: str
) -> None:
    """Who takes the likeliest label finds one, though nothing is routed on it."""
    said = [{"role": "user", "name": "anna", "content": [IMAGE]}]
    with FaultyUpstream(replies={"acme/judge": "no idea"}) as upstream:
        settings = config(upstream, timeouts=PATIENT)
        settings["intents"]["billing"] = BILLING
        if kind == "llm":
            settings["classifier"] = {"kind": kind, "model": "judge", "deadline_s": 30}
            settings["models"]["judge"] = {"model": "acme/judge", "price": "unknown"}
        (tmp_path / "t.yaml").write_bytes(orjson.dumps(settings))
        source = jsonl_file(tmp_path / "a.jsonl", [{"messages": said}])
        ran = run(capfd, "classify", "--in", source, "--out", "-", "-c", "t.yaml", "--no-ledger")
    assert ran.code == 0, ran.err
    (row,) = verdicts(ran.out)
    labels = (*LocalClassifier.load().intents, "billing")
    assert row["intents"] == dict.fromkeys(labels, 1 / len(labels))
    assert row["intent"] == "unknown"


def test_a_pipe_gets_each_verdict_when_its_line_has_come() -> None:
    """A reader that waits for an answer before it writes the next line is answered."""
    command = [sys.executable, "-m", "turnout", "classify", "--in", "-", "--out", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ}
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(3):
            process.stdin.write(orjson.dumps({"id": number, "text": FACT}) + b"\n")
            process.stdin.flush()
            assert orjson.loads(process.stdout.readline())["id"] == number
        process.stdin.close()
        assert process.wait() == 0


def test_the_configuration_decides_the_label(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Own intents, parents and the threshold are those that the router serves."""
    with FaultyUpstream() as upstream:
        settings = config(upstream)
        settings["intents"]["billing"] = BILLING
        rows = [{"text": text} for text in (ASKED, LETTER, FACT)]
        source = jsonl_file(tmp_path / "a.jsonl", rows)
        (tmp_path / "t.yaml").write_bytes(orjson.dumps(settings))
        ran = run(capfd, "classify", "--in", source, "--out", "-", "-c", "t.yaml")
        assert [row["intent"] for row in verdicts(ran.out)] == ["billing", "creative", "simple_qa"]
        settings["safety"] = {"threshold": 0.0}
        (tmp_path / "t.yaml").write_bytes(orjson.dumps(settings))
        ran = run(capfd, "classify", "--in", source, "--out", "-", "-c", "t.yaml")
        assert {row["intent"] for row in verdicts(ran.out)} == {"unsafe"}


def _ask_judge(upstream: FaultyUpstream, path: Path) -> None:
    """Writes a configuration in which a model is asked for every label."""
    asking = {"kind": "llm", "model": "judge", "deadline_s": 30}
    settings = config(upstream, classifier=asking, timeouts=PATIENT)
    settings["models"]["judge"] = {"model": "acme/judge", "price": "unknown"}
    path.write_bytes(orjson.dumps(settings))


def test_a_configured_label_classifier_is_asked(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In order, though several are asked at a time; what is blocked locally is not sent."""
    with FaultyUpstream(replies={"acme/judge": "creative"}) as upstream:
        _ask_judge(upstream, tmp_path / "t.yaml")
        rows = [{"id": i, "text": UNSAFE if i == 7 else f"{FACT} {i}"} for i in range(40)]
        source = jsonl_file(tmp_path / "a.jsonl", rows)
        ran = run(capfd, "classify", "--in", source, "--out", "-", "-c", "t.yaml", "--no-ledger")
        found = verdicts(ran.out)
        assert [row["id"] for row in found] == list(range(40))
        assert {row["intent"] for row in found if row["id"] != 7} == {"creative"}
        assert found[7]["intent"] == "unsafe"
        assert len(upstream.requests) == 39
        assert "could not be had" not in ran.err


def test_labels_that_could_not_be_had_are_counted(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With the reason, once; the lines have their local safety, and the exit code stays 0."""
    with FaultyUpstream(replies={"acme/judge": "no idea"}) as upstream:
        _ask_judge(upstream, tmp_path / "t.yaml")
        source = jsonl_file(
            tmp_path / "a.jsonl", [{"text": FACT}, {"text": UNSAFE}, {"text": FACT}]
        )
        ran = run(capfd, "classify", "--in", source, "--out", "-", "-c", "t.yaml", "--no-ledger")
        assert [row["intent"] for row in verdicts(ran.out)] == ["unknown", "unsafe", "unknown"]
        assert ran.code == 0
        assert ran.err.count("2 labels are missing: ") == 1

"""Closed, full and left streams: one line and an exit code, never a traceback or a lost line."""

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

_TURNOUT = f"{sys.executable} -m turnout"


def _shell(command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-c", command.replace("turnout ", f"{_TURNOUT} ", 1)],
        capture_output=True, text=True, check=False, cwd=folder, timeout=60,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two prompts."""
    (tmp_path / "p.jsonl").write_text('{"text": "Hello"}\n{"text": "What is the time in Rome?"}\n')
    return tmp_path


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (
            "turnout prices >&-",
            2,
            "standard output, or a file: cannot be used (Bad file descriptor)",
        ),
        (
            "turnout prices --json >/dev/full",
            2,
            "standard output, or a file: cannot be used (No space left",
        ),
        (
            "turnout --help >/dev/full",
            2,
            "standard output, or a file: cannot be used (No space left",
        ),
        (
            "turnout classify --in p.jsonl --out - >&-",
            2,
            "standard output, or a file: cannot be used",
        ),
        ("turnout classify --in p.jsonl --out /dev/full", 2, "/dev/full: cannot be written"),
        ("turnout route <&-", 3, "the prompt is empty"),
    ],
)
def test_a_stream_that_cannot_be_used_is_one_line(
    folder: Path, command: str, code: int, said: str
) -> None:
    """Standard output closed or full, standard input closed."""
    done = _shell(command, folder)
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("no API key")]
    assert (done.returncode, said in line) == (code, True), done.stderr


def test_a_reader_who_leaves_early_is_no_error(folder: Path) -> None:
    """``head`` has seen enough; nothing is said about it."""
    (folder / "p.jsonl").write_text('{"text": "Hello"}\n' * 3000)
    done = _shell("turnout classify --in p.jsonl --out - | head -n 1", folder)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_a_closed_standard_error_is_no_reason_to_fail(folder: Path) -> None:
    """The answer comes all the same, and the exit code."""
    assert _shell("turnout prices --json 2>&-", folder).returncode == 0
    assert _shell("turnout route '' 2>&-", folder).returncode == 3


def test_the_file_to_read_is_not_the_file_to_write(folder: Path) -> None:
    """It would be empty before its first line was read."""
    before = (folder / "p.jsonl").read_text()
    done = _shell("turnout classify --in p.jsonl --out ./p.jsonl", folder)
    assert (done.returncode, "is the file to read" in done.stderr) == (2, True)
    assert (folder / "p.jsonl").read_text() == before


def test_classify_says_that_it_does_not_use_the_configuration_of_the_folder(folder: Path) -> None:
    """Other commands take it; here it must be named."""
    (folder / "turnout.yaml").write_text("models: {m: {model: a/b, price: unknown}}\ndefault: m\n")
    done = _shell("turnout classify --in p.jsonl --out -", folder)
    assert done.returncode == 0
    assert done.stdout.count("\n") == 2
    assert done.stderr == (
        "turnout: note: turnout.yaml is not used here; to label as it serves, give --config "
        f"turnout.yaml{os.linesep}"
    )


def test_an_encoding_that_lacks_a_sign_gets_an_escape_and_json_stays_json(folder: Path) -> None:
    """Arrows in a table are no reason for a traceback; JSON is UTF-8 everywhere."""
    shown = _shell("PYTHONIOENCODING=ascii turnout route 'Bonjour à tous'", folder)
    assert (shown.returncode, "\\u2192" in shown.stdout) == (0, True), shown.stderr
    (folder / "c.yaml").write_text(
        "providers: {p: {base_url: http://h}}\n"
        "models: {m: {model: modèle/😀, price: unknown, provider: p}}\ndefault: m\n"
    )
    done = _shell("PYTHONIOENCODING=ascii turnout models --json --config c.yaml", folder)
    assert orjson.loads(done.stdout)[0]["model"] == "modèle/😀"


def test_an_answer_ends_before_what_is_said_of_it(folder: Path) -> None:
    """Also where both streams go into one file."""
    done = _shell("turnout ask --no-ledger --max-tokens 4 Hello 2>&1", folder)
    lines = done.stdout.splitlines()
    assert " → " in lines[-1]
    assert lines[-1].startswith("chat → ")

"""Nothing leaves that was not configured, and nothing is installed that is not pinned."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

LOCKS = sorted(Path(__file__).parents[2].glob("requirements/*.lock"))
# Writes every address that is looked up or connected to; the program's own files are no matter.
_WATCHED = """
import sys
def hook(name, args):
    if name in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        with open("calls", "a") as calls:
            print(name, args[1:], file=calls)
sys.addaudithook(hook)
from turnout.cli import main
main()
"""


@pytest.mark.parametrize(
    "command",
    [
        ["route", "What is the capital of Japan?"],
        ["ask", "--max-tokens", "4", "What is the capital of Japan?"],
        ["demo", "--max-tokens", "4", "What is the capital of Japan?"],
        ["models"],
        ["models", "--check"],
        ["prices"],
        ["compare", "p.jsonl"],
        ["classify", "--in", "p.jsonl", "--out", "-"],
        ["route", "--assert", "p.jsonl"],
        ["init", "--no-local"],
    ],
    ids=" ".join,
)
def test_without_a_key_nobody_is_called(tmp_path: Path, command: list[str]) -> None:
    """No command of the quick start looks up a host or opens a connection."""
    _run_sealed(tmp_path, command)


def test_keys_that_are_found_are_shown_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first configuration is written without a call, unless it is told to ask."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    _run_sealed(tmp_path, ["init"])
    assert "gpt" in (tmp_path / "turnout.yaml").read_text()


def _run_sealed(tmp_path: Path, command: list[str]) -> None:
    """Runs the command, which must do well and call nobody."""
    line = '{"text": "What is the capital of Japan?", "intent": "simple_qa"}\n'
    (tmp_path / "p.jsonl").write_text(line)
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED, *command],
        capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    calls = tmp_path / "calls"
    assert not calls.exists(), calls.read_text()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_requirement_is_pinned_by_hash_and_from_no_address(lock: Path) -> None:
    """One version each, with its hashes; where packages come from is the installer's business."""
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    for requirement in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[A-Za-z0-9._-]+(\[[\w,-]+\])?==\S+", requirement), requirement[:80]
        assert "--hash=sha256:" in requirement, requirement[:80]

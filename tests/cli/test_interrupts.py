"""Ctrl-C is an exit code, however early it comes, and costs no file that was there."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.success.worlds import unpriced_bundle
from tests.waiting import soon

_INTERRUPTED_AT = """
import os, signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
from turnout.cli import main
main(["route", "Hello"])
"""


@pytest.mark.parametrize("module", ["typer", "turnout.cli.ask"])
def test_an_interrupt_while_modules_load_shows_no_traceback(module: str) -> None:
    """Neither before a command is known, nor while it is loaded."""
    command = [sys.executable, "-c", _INTERRUPTED_AT, module]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("command", ["predict --bundle {bundle} --prompts", "classify --in"])
@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_an_interrupt_leaves_the_file_that_was_there(
    tmp_path: Path, command: str, name: str
) -> None:
    """With half of the lines written, and no part of them beside it."""
    source, folder = tmp_path / "lines", tmp_path / "results"
    folder.mkdir()
    target = folder / name
    target.write_text("kept")
    os.mkfifo(source)
    asked = command.format(bundle=unpriced_bundle(tmp_path)).split()
    with (
        subprocess.Popen(
            [sys.executable, "-m", "turnout", *asked, source, "--out", target],
            stderr=subprocess.PIPE,
        ) as process,
        source.open("wb") as lines,
    ):
        lines.write(b'{"text": "Hello", "prompt": "Hello"}\n' * 1000)
        lines.flush()
        assert soon(lambda: len(list(folder.iterdir())) > 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert [path.read_text() for path in folder.iterdir()] == ["kept"]

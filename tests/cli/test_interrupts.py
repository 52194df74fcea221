"""Ctrl-C is an exit code, however early it comes."""

import subprocess
import sys

import pytest

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

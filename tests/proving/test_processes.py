"""A forked process does its work and ends: never does it run on as its parent."""

import os
from pathlib import Path

import pytest

from turnout.core import LedgerError
from turnout.proving.budget import _misjudged
from turnout.proving.processes import exit_code_of, fork
from turnout.proving.spenders import Run


def test_a_process_ends_with_what_its_work_returns() -> None:
    """Nothing is success; an interrupt, which the parent gets too, is told by the code alone."""

    def interrupted() -> int:
        raise KeyboardInterrupt

    assert [exit_code_of(fork(work)) for work in (lambda: None, lambda: 7, interrupted)] == [
        0,
        7,
        1,
    ]


def test_work_that_fails_is_told_and_ends(capfd: pytest.CaptureFixture[str]) -> None:
    """A known failure is one line, a bug has its traceback; the parent goes on alone."""

    def fails(error: Exception) -> None:
        raise error

    here = os.getpid()
    assert exit_code_of(fork(fails, LedgerError("the disk is full"))) == 1
    assert capfd.readouterr().err == "the disk is full\n"
    assert exit_code_of(fork(fails, ZeroDivisionError())) == 1
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert os.getpid() == here


def test_a_ledger_that_cannot_be_asked_fails_the_proof_of_budgets(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The child that asks for the last cent finds no owner; it went on as a second proof."""
    run = Run(place=str(tmp_path / "ledger.db"), folder=tmp_path, seed=1, tasks=1, sabotage=None)
    assert exit_code_of(fork(_misjudged, run, 1)) == 1
    assert capfd.readouterr().err == "the ledger's owner does not answer\n"

"""What all ``turnout prove`` commands share: seed, folders, the counter and the verdict."""

import random
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer

from turnout.cli.show import err, out, print_json
from turnout.proving import Check, Proof
from turnout.proving.report import Trial

Test = Callable[[Trial], Check | Iterable[Check]]

SeedOption = Annotated[
    int | None, typer.Option(help="Seed of a run to repeat; by default a new one.")
]


def prove(promise: str, *tests: Test, seed: int | None, json: bool) -> None:
    """Runs the tests of a promise, each in a folder of its own; see ``_print_proof`` for the exit.

    Without ``seed`` a random one is drawn, and printed.
    """
    chosen = random.SystemRandom().randrange(10**6) if seed is None else seed
    checks = [check for test in tests for check in _run(test, chosen)]
    _print_proof(Proof(promise=promise, seed=chosen, checks=tuple(checks)), json=json)


def percent(text: str, *, least: float = 0.0) -> float:
    """The share that ``30%`` or ``30`` means, from ``least`` to 1. Raises BadParameter."""
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not least <= share <= 1:
        raise typer.BadParameter(f"{text!r} is not a share; use a number such as 100%")
    return share


def _run(test: Test, seed: int) -> list[Check]:
    with tempfile.TemporaryDirectory(prefix="turnout-prove-") as folder:
        found = test(Trial(seed, Path(folder), _show_count))
        checks = [found] if isinstance(found, Check) else list(found)
    if err.is_terminal:
        sys.stderr.write("\r\x1b[K")
    return checks


def _show_count(done: int) -> None:
    """Counts on a terminal."""
    # No progress bar: its thread would be forked along with the processes to kill.
    if err.is_terminal and done % 10 == 0:
        sys.stderr.write(f"\r{done:,}")
        sys.stderr.flush()


def _print_proof(proof: Proof, *, json: bool) -> None:
    """Prints every check and the verdict; exits with 1 on FAIL and with 2 on UNPROVEN."""
    if json:
        print_json(proof.as_dict())
    else:
        for check in proof.checks:
            out.print(check.line())
        out.print(f"{proof.result} {proof.promise}, seed {proof.seed}")
    if proof.result != "PASS":
        raise typer.Exit(1 if proof.result == "FAIL" else 2)

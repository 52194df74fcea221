"""What every ``turnout prove`` command shares: seeds, folders, the counter and the verdict."""

import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from turnout.cli.options import err, out, print_json
from turnout.proving import Check, Proof

Shown = Callable[[int], None]

SeedOption = Annotated[int | None, typer.Option(help="Repeats a run; else a new one is drawn.")]


def run(test: Callable[[Path, Shown], Check]) -> Check:
    """Runs a test in a folder of its own, with a counter on a terminal."""
    with tempfile.TemporaryDirectory(prefix="turnout-prove-") as folder:
        check = test(Path(folder), shown)
    if err.is_terminal:
        sys.stderr.write("\r\x1b[K")
    return check


def shown(done: int) -> None:
    """Counts on a terminal."""
    # A thread that draws a bar would be forked along with the processes to kill.
    if err.is_terminal and done % 10 == 0:
        sys.stderr.write(f"\r{done:,}")
        sys.stderr.flush()


def seed_or_new(given: int | None) -> int:
    """The seed that was given, else a new one."""
    return random.SystemRandom().randrange(10**6) if given is None else given


def tell(proof: Proof, *, json: bool) -> None:
    """Prints every check and the verdict; leaves with 1 where it failed."""
    if json:
        print_json(proof.as_dict())
    else:
        for check in proof.checks:
            out.print(check.line(), markup=False, highlight=False)
        verdict = "PASS" if proof.passed else "FAIL"
        out.print(f"{verdict} {proof.promise}, seed {proof.seed}", markup=False, highlight=False)
    if not proof.passed:
        raise typer.Exit(1)

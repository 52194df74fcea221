"""Killed processes: a ledger's process dies at any moment, and the next one finds all its promises.

A kill alone does not prove durability, since written data stays in the page cache; ``power`` proves
that. A kill does prove that nothing is promised before it is written.
"""

import asyncio
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

from turnout.ledger import Ledger
from turnout.ledger.sqlite import SqliteStore
from turnout.proving.processes import fork, kill
from turnout.proving.report import Check, Trial, check_of
from turnout.proving.workload import RULES, Acknowledged, Tally, request_ids, work

RUN_S = (0.05, 0.25)
VERIFY_EACH = 50
_MANY = 1_000_000


def kills(count: int, trial: Trial) -> Check:
    """``count`` processes on one file, each killed at a random moment of its work."""
    rng, tally, path = random.Random(trial.seed), Tally(), trial.folder / "ledger.db"
    for run in range(count):
        acknowledged = _run_until_killed(path, run, trial.seed, rng.uniform(*RUN_S))
        last = run == count - 1
        # A process that is killed before its first promise may not even have made the file.
        if acknowledged:
            tally.add(SqliteStore(path), acknowledged, verify_all=last or run % VERIFY_EACH == 0)
        trial.progress(run + 1)
        if last or (run + 1) % VERIFY_EACH == 0:
            _check_balance(path, tally)
            path.rename(trial.folder / f"done{run}.db")
            for suffix in ("-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
    return check_of("kill -9", tally.wrong(), fix="raise --kills", kills=count, **tally.shown())


def _check_balance(path: Path, tally: Tally) -> None:
    """A last start frees dead processes' holds and checkpoints the log; then all must agree."""
    with Ledger(SqliteStore(path), catalog=RULES.catalog) as ledger:
        tally.add(ledger.store, [], verify_all=True)
    store = SqliteStore(path)
    tally.unsound += store.fetch("SELECT count(*) FROM holds") != [(0,)]


def _run_until_killed(path: Path, run: int, seed: int, run_s: float) -> Acknowledged:
    """Let a process work on the ledger until it is killed; returns what it acknowledged."""
    read_fd, write_fd = os.pipe()
    child = fork(_work_without_reader, read_fd, path, run, seed, write_fd)
    os.close(write_fd)
    try:
        time.sleep(run_s)
    finally:
        kill(child)
    with os.fdopen(read_fd, "rb") as pipe:
        output = pipe.read()
    return parse_acknowledgements(output)


def _work_without_reader(read_fd: int, path: Path, run: int, seed: int, write_fd: int) -> None:
    """As ``work_and_print``; it ends with its reader, since it holds no end to read from itself."""
    os.close(read_fd)
    work_and_print(path, run, seed, write_fd)


def work_and_print(path: Path, run: int, seed: int, pipe: int, count: int = _MANY) -> None:
    """Work on the ledger and print what was acknowledged. Raises RouterError."""

    def on_acknowledged(kind: str, id_: str, cost: int) -> None:
        os.write(pipe, f"{kind} {id_} {cost}\n".encode())

    with Ledger(SqliteStore(path), catalog=RULES.catalog) as ledger:
        asyncio.run(work(ledger, request_ids(run, count), seed, on_acknowledged))


def parse_acknowledgements(output: bytes) -> Acknowledged:
    """The acknowledgements in a process's output; a line cut short does not count."""
    lines: Sequence[bytes] = output.split(b"\n")[:-1]
    found = []
    for line in lines:
        kind, id_, cost = line.decode().split()
        found.append((kind, id_, int(cost)))
    return found

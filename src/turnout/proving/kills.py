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
from turnout.proving.report import Check, Shown, judged, unseen
from turnout.proving.workload import RULES, Heard, Tally, idents, work

LIFE_S = (0.05, 0.25)
VERIFY_EACH = 50
_MANY = 1_000_000


def kills(count: int, seed: int, folder: Path, *, shown: Shown = unseen) -> Check:
    """``count`` processes on one file, each killed at a random moment of its work."""
    chance, tally, path = random.Random(seed), Tally(), folder / "ledger.db"
    for run in range(count):
        heard = _one_life(path, run, seed, chance.uniform(*LIFE_S))
        last = run == count - 1
        if heard:  # a process killed before its first promise may not even have made the file
            tally.add(SqliteStore(path), heard, whole=last or run % VERIFY_EACH == 0)
        shown(run + 1)
        if last or (run + 1) % VERIFY_EACH == 0:
            _check_balance(path, tally)
            path.rename(folder / f"done{run}.db")
            for side in ("-wal", "-shm"):
                Path(f"{path}{side}").unlink(missing_ok=True)
    return judged("kill -9", tally.wrong(), kills=count, acknowledged=tally.acknowledged,
                  holds=tally.held)  # fmt: skip


def _check_balance(path: Path, tally: Tally) -> None:
    """A last start frees dead processes' holds and checkpoints the log; then all must agree."""
    with Ledger(SqliteStore(path), catalog=RULES.catalog) as ledger:
        tally.add(ledger.store, [], whole=True)
    store = SqliteStore(path)
    tally.unsound += store.fetch("SELECT count(*) FROM holds") != [(0,)]


def _one_life(path: Path, run: int, seed: int, life_s: float) -> Heard:
    """Let a process work on the ledger until it is killed; returns what it acknowledged."""
    reading, writing = os.pipe()
    child = fork(_live_unheard_by, reading, path, run, seed, writing)
    os.close(writing)
    try:
        time.sleep(life_s)
    finally:
        kill(child)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    return parsed(said)


def _live_unheard_by(reading: int, path: Path, run: int, seed: int, writing: int) -> None:
    """As ``live``; it ends with its reader, since it holds no end to read from itself."""
    os.close(reading)
    live(path, run, seed, writing)


def live(path: Path, run: int, seed: int, pipe: int, count: int = _MANY) -> None:
    """Work on the ledger and print what was acknowledged. Raises RouterError."""

    def hear(kind: str, id_: str, cost: int) -> None:
        os.write(pipe, f"{kind} {id_} {cost}\n".encode())

    with Ledger(SqliteStore(path), catalog=RULES.catalog) as ledger:
        asyncio.run(work(ledger, idents(run, count), seed, hear))


def parsed(said: bytes) -> Heard:
    """The acknowledgements in a process's output; a line cut short does not count."""
    lines: Sequence[bytes] = said.split(b"\n")[:-1]
    found = []
    for line in lines:
        kind, id_, cost = line.decode().split()
        found.append((kind, id_, int(cost)))
    return found

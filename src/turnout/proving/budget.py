"""The proof of budgets: many processes at once, some killed, and the sums afterwards.

The processes write one SQLite file through its owner, which is killed too, or one Postgres
database. What was spent is summed from the calls, apart from the balances.

Invariant: a kill is a ``kill -9`` at a random moment.
"""

import asyncio
import os
import random
import signal
import time
from contextlib import suppress
from itertools import count

from turnout.core import Bound, BudgetExceeded, RouterError
from turnout.ledger import Ledger, Store, store_at, verify
from turnout.proving.processes import exit_code_of, fork, kill, wait_until
from turnout.proving.report import Check, Trial, check_of
from turnout.proving.sabotages import Budget as Sabotage
from turnout.proving.spenders import LEASE_S, LIMIT, Run, open_once, own_file, spend
from turnout.proving.workload import request

LONGEST_RUN_S = 60.0


def budget(
    processes: int,
    concurrency: int,
    trial: Trial,
    *,
    kills: int = 8,
    place: str | None = None,
    sabotage: Sabotage | None = None,
) -> Check:
    """``concurrency`` requests at a time from ``processes``, of which ``kills`` die.

    None of them outlives this call, however it ends.
    """
    run = Run(
        place=place or str(trial.folder / "ledger.db"),
        folder=trial.folder,
        seed=trial.seed,
        tasks=max(1, concurrency // processes),
        sabotage=sabotage,
    )
    alive: list[int] = []
    try:
        if run.shared is not None:
            run.owner = fork(own_file, run)
            wait_until((run.folder / "socket").exists, "the owner's socket", 30)
        peak = _run_processes(run, alive, processes, kills, trial)
        endings = run.endings_path.read_text(encoding="utf-8").split()
        return _check(run, endings, peak, kills)
    finally:
        for process in [*alive, *([run.owner] if run.owner is not None else [])]:
            with suppress(ProcessLookupError, ChildProcessError):
                kill(process)


def _run_processes(run: Run, alive: list[int], processes: int, kills: int, trial: Trial) -> int:
    """Runs ``processes`` that spend, listed in ``alive`` meanwhile; returns the most booked."""
    rng, numbers, peak = random.Random(run.seed), count(), 0
    alive += [fork(spend, run, next(numbers)) for _ in range(processes)]
    for number in range(kills):
        peak = max(peak, _highest_booked(run, rng.uniform(0.3, 0.8)))
        victim = rng.randrange(len(alive))
        kill(alive[victim])
        alive[victim] = fork(spend, run, next(numbers))
        if run.owner is not None and number % 4 == 3:
            kill(run.owner)
            run.owner = fork(own_file, run)
        trial.progress(number + 1)
    end = time.monotonic() + LONGEST_RUN_S
    while peak < LIMIT * 95 // 100 and time.monotonic() < end:
        peak = max(peak, _highest_booked(run, 0.5))
    peak = max(peak, _highest_booked(run, 1.0))
    for process in alive:
        os.kill(process, signal.SIGTERM)
    while alive:
        os.waitpid(alive[-1], 0)
        alive.pop()
    return peak


def _check(run: Run, endings: list[str], peak: int, kills: int) -> Check:
    time.sleep(2 * LEASE_S)  # every lease has passed, and the next look has come
    if run.shared is None:
        exit_code_of(fork(open_once, run))  # without an owner the next process frees holds
    store = store_at(run.place)
    held = int(store.fetch("SELECT coalesce(sum(held), 0) FROM balances")[0][0])
    holds = store.fetch("SELECT count(*) FROM holds")[0][0]
    spent = int(store.fetch("SELECT coalesce(sum(cost), 0) FROM calls")[0][0])
    booked = _booked(store, "all:all:usd")
    over = max(0, spent - LIMIT, peak - LIMIT)
    for key in "ab":
        over = max(over, _booked(store, f"key:{key}:usd") - LIMIT // 2)
    # In another process, since this one must have no threads.
    false_refusals = endings.count("false") + exit_code_of(fork(_misjudged, run, LIMIT - booked))
    findings = verify(store)
    store.close()
    return check_of(
        "budget",
        {
            "overspent (pico-dollars)": over,
            "ghost holds": holds,
            "held by ghosts (pico-dollars)": held,
            "false refusals": false_refusals,
            "booked but not spent (pico-dollars)": abs(booked - spent),
            "findings of verify": len(findings),
        },
        fix="raise --concurrency",
        acknowledged=endings.count("settled"),
        refused=endings.count("refused"),
        kills=kills,
        spent=spent,
        limit=LIMIT,
        most_spent_and_held=peak,
    )


def _booked(store: Store, account: str) -> int:
    rows = store.fetch(
        "SELECT coalesce(sum(spent), 0) FROM balances WHERE account = $1", (account,)
    )
    return int(rows[0][0])


def _misjudged(run: Run, left: int) -> int:
    """How often the rest cannot be spent to the last pico-dollar, or one more can."""
    return asyncio.run(_misjudgements(run.ledger(), run.seed, left))


async def _misjudgements(ledger: Ledger, seed: int, left: int) -> int:
    one_more = await _is_granted(ledger, seed, 1, left + 1)
    all_of_it = await _is_granted(ledger, seed, 2, left)
    await asyncio.to_thread(ledger.close)
    return int(one_more) + int(not all_of_it)


async def _is_granted(ledger: Ledger, seed: int, number: int, amount: int) -> bool:
    asked, decision, _ = request(f"r_{number:024x}", random.Random(seed))
    try:
        await ledger.decided(asked, decision, {"small": Bound(amount, 1)})
    except BudgetExceeded:
        return False
    await ledger.abandoned(decision.id)
    return True


def _highest_booked(run: Run, seconds: float) -> int:
    """The most that was spent and held together, as a reader sees it for a while."""
    store = store_at(run.place)
    end, most = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        try:
            rows = store.fetch("SELECT spent + held FROM balances WHERE account = 'all:all:usd'")
            most = max([most, *(row[0] for row in rows)])
        except RouterError:
            pass  # not there yet, or its owner is being replaced
        time.sleep(0.02)
    store.close()
    return most

"""Budgets as walls: many processes at once, some killed, and what was spent and held afterwards.

The processes write one SQLite file through its owner, which is killed too, or one Postgres
database. What was spent is summed from the calls, apart from the balances.

Invariant: a kill is a ``kill -9`` at a random moment; the parent has no threads, so that it can
fork at any time.
"""

import asyncio
import os
import random
import secrets
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Literal, NoReturn

from turnout.core import Bound, Budget, BudgetExceeded, Caller, Request, RouterError
from turnout.ledger import Ledger, Store, store_at, verify
from turnout.ledger.charges import Limits
from turnout.ledger.entries import Charge, Settlement
from turnout.ledger.shared import LedgerHost
from turnout.proving.report import Check, judged
from turnout.proving.workload import RULES, request

Sabotage = Literal["no-hold", "no-release"]

LIMIT = 4 * 10**12  # 4 dollars: some hundred requests at once, of the thousand that ask
LEASE_S = 6.0
LONGEST_RUN_S = 60.0
LONGEST_S = 0.05
_BUDGETS = (
    Budget(per="all", window="total", unit="usd", limit=LIMIT),
    Budget(per="key", window="total", unit="usd", limit=LIMIT // 2),
)


@dataclass(slots=True)
class _Run:
    """One proof under way: where it writes, and its processes by their numbers."""

    place: str
    folder: Path
    seed: int
    tasks: int
    sabotage: Sabotage | None
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    owner: int | None = None

    @property
    def said(self) -> Path:
        """Where the processes write down how their requests ended."""
        return self.folder / "said"

    @property
    def shared(self) -> tuple[str, bytes] | None:
        """The owner's socket; None where each process writes itself."""
        return None if "://" in self.place else (str(self.folder / "socket"), self.secret)

    def ledger(self, *, owner: bool = False) -> Ledger:
        """A process's ledger."""
        kind = {"no-hold": _HoldsNothing, "no-release": _ReleasesNothing}.get(
            self.sabotage or "", Ledger
        )
        shared = None if owner else self.shared
        found = kind(store_at(self.place), catalog=RULES.catalog, lease_s=LEASE_S, shared=shared)
        found.limit_by(Limits(_BUDGETS))
        return found


def budget(
    processes: int,
    concurrency: int,
    seed: int,
    folder: Path,
    *,
    kills: int = 8,
    place: str | None = None,
    sabotage: Sabotage | None = None,
    shown: Callable[[int], None] = lambda _: None,
) -> Check:
    """``concurrency`` requests at a time from ``processes``, of which ``kills`` die."""
    chance = random.Random(seed)
    run = _Run(
        place=place or str(folder / "ledger.db"),
        folder=folder,
        seed=seed,
        tasks=max(1, concurrency // processes),
        sabotage=sabotage,
    )
    if run.shared is not None:
        run.owner = _fork(run, _own)
        _wait_for(folder / "socket")
    life = count()
    living = [_fork(run, _spend, next(life)) for _ in range(processes)]
    peak = 0
    for number in range(kills):
        peak = max(peak, _watched(run, chance.uniform(0.3, 0.8)))
        victim = chance.randrange(len(living))
        _kill(living[victim])
        living[victim] = _fork(run, _spend, next(life))
        if run.owner is not None and number % 4 == 3:
            _kill(run.owner)
            run.owner = _fork(run, _own)
        shown(number + 1)
    until = time.monotonic() + LONGEST_RUN_S
    while peak < LIMIT * 95 // 100 and time.monotonic() < until:
        peak = max(peak, _watched(run, 0.5))
    peak = max(peak, _watched(run, 1.0))
    for process in living:
        os.kill(process, signal.SIGTERM)
    for process in living:
        os.waitpid(process, 0)
    said = run.said.read_text(encoding="utf-8").split()
    try:
        return _judged(run, said, peak, kills)
    finally:
        if run.owner is not None:
            _kill(run.owner)


def _judged(run: _Run, said: list[str], peak: int, kills: int) -> Check:
    time.sleep(2 * LEASE_S)  # every lease has passed, and the next look has come
    if run.shared is None:
        os.waitpid(_fork(run, _look_once), 0)  # without an owner the next process looks
    store = store_at(run.place)
    held = int(store.fetch("SELECT coalesce(sum(held), 0) FROM balances")[0][0])
    holds = store.fetch("SELECT count(*) FROM holds")[0][0]
    spent = int(store.fetch("SELECT coalesce(sum(cost), 0) FROM calls")[0][0])
    booked = _booked(store, "all:all:usd")
    over = max(0, spent - LIMIT, peak - LIMIT)
    for key in "ab":
        over = max(over, _booked(store, f"key:{key}:usd") - LIMIT // 2)
    false_refusals = said.count("false") + _last_cent(run, LIMIT - booked)
    findings = verify(store)
    store.close()
    return judged(
        "budget",
        {
            "overspent (pico-dollars)": over,
            "ghost holds": holds,
            "held by ghosts (pico-dollars)": held,
            "false refusals": false_refusals,
            "booked but not spent (pico-dollars)": abs(booked - spent),
            "findings of verify": len(findings),
        },
        acknowledged=said.count("settled"),
        refused=said.count("refused"),
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


def _last_cent(run: _Run, left: int) -> int:
    """Whether what is left can still be had to the last pico-dollar, and not one more."""

    async def ask(ledger: Ledger, number: int, amount: int) -> bool:
        asked, decision, _ = request(f"r_{number:024x}", random.Random(run.seed))
        try:
            await ledger.decided(asked, decision, {"small": Bound(amount, 1)})
        except BudgetExceeded:
            return False
        await ledger.abandoned(decision.id)
        return True

    async def both() -> int:
        ledger = run.ledger()
        more = await ask(ledger, 1, left + 1)
        all_of_it = await ask(ledger, 2, left)
        await asyncio.to_thread(ledger.close)
        return int(more) + int(not all_of_it)

    # In a process of its own: this one must stay without threads.
    child = os.fork()
    if child == 0:
        os._exit(asyncio.run(both()))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _watched(run: _Run, seconds: float) -> int:
    """The most that was spent and held together, as a reader sees it for a while."""
    store = store_at(run.place)
    until, most = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        try:
            rows = store.fetch("SELECT spent + held FROM balances WHERE account = 'all:all:usd'")
            most = max([most, *(row[0] for row in rows)])
        except RouterError:
            pass  # not there yet, or its owner is being replaced
        time.sleep(0.02)
    store.close()
    return most


def _fork(run: _Run, work: Callable[..., NoReturn], *arguments: int) -> int:
    child = os.fork()
    if child == 0:
        try:
            work(run, *arguments)
        except RouterError as error:
            os.write(2, f"{error}\n".encode())
        os._exit(1)
    return child


def _kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def _look_once(run: _Run) -> NoReturn:
    """Open the ledger, which frees what has lapsed, and leave."""
    with run.ledger():
        os._exit(0)


def _own(run: _Run) -> NoReturn:
    """Own the file and write for the others, until killed."""
    address, secret = str(run.folder / "socket"), run.secret
    Path(address).unlink(missing_ok=True)
    ledger = run.ledger(owner=True)
    host = LedgerHost(ledger, f"{address}.new", secret)
    ledger.start()
    Path(f"{address}.new").rename(address)
    while True:
        signal.pause()
        host.close()


def _spend(run: _Run, life: int) -> NoReturn:
    """Ask and spend until told to stop; says how each request ended."""
    stop = asyncio.Event()
    numbers = count()
    said = os.open(run.said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def task(ledger: Ledger) -> None:
        while not stop.is_set():
            end = await _one(ledger, run.seed, life, next(numbers))
            os.write(said, f"{end}\n".encode())
            if end != "settled":
                await asyncio.sleep(0.1)

    async def all_tasks() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        ledger = run.ledger()
        await asyncio.gather(*(task(ledger) for _ in range(run.tasks)))
        await asyncio.to_thread(ledger.close)

    asyncio.run(all_tasks())
    os._exit(0)


async def _one(ledger: Ledger, seed: int, life: int, number: int) -> str:
    ident = f"r_{life + 16:06x}{number:06x}{life:06x}{number:06x}"
    chance = random.Random(f"{seed} {ident}")
    asked, decision, calls = request(ident, chance)
    asked = _from(asked, chance.choice("ab"))
    # A price times more tokens than any of these calls uses, as a ceiling is.
    most = 2000 * 3_000_000 + 500 * 9_000_000
    bounds = {route.deployment: Bound(most, 2500) for route in decision.routes}
    try:
        await ledger.decided(asked, decision, bounds)
    except BudgetExceeded as error:
        full = all(s.spent + s.held + (s.asked or 0) > s.budget.limit for s in error.standings)
        return "refused" if full else "false"
    except RouterError:
        return "unsure"
    said = "settled"
    try:
        for call in calls:
            await asyncio.sleep(chance.uniform(0, LONGEST_S))
            await ledger.attempted(call)
    except BudgetExceeded:
        said = "stopped"
    except RouterError:
        said = "unsure"
    try:
        await ledger.settled(decision)
    except RouterError:
        return "unsure"
    return said


def _from(asked: Request, key: str) -> Request:
    caller = Caller(key=key, keys=(key,))
    return Request(id=asked.id, body=asked.body, tenant=caller.tenant, caller=caller)


def _wait_for(path: Path) -> None:
    until = time.monotonic() + 30
    while not path.exists():
        if time.monotonic() > until:
            raise TimeoutError(f"{path} was not made")
        time.sleep(0.02)


class _NoLimits(Limits):
    """Looks at budgets and holds nothing of them, as a sabotage."""

    def charges(
        self, request: Request, bounds: "dict[str, Bound] | object", spent: Bound, at_ms: int
    ) -> tuple[Charge, ...]:
        """What is left must be more than nothing; two at a time may both find so."""
        del bounds
        least = {"": Bound(1, 1)}
        return super().charges(request, least, spent, at_ms)


class _HoldsNothing(Ledger):
    """A ledger that checks and records, as a sabotage."""

    def limit_by(self, limits: Limits) -> None:
        """As Ledger.limit_by."""
        super().limit_by(_NoLimits(limits.budgets))


class _ReleasesNothing(Ledger):
    """A ledger whose dead leave their holds behind, as a sabotage."""

    def _lapsed(self, lost: "Callable[[str], bool] | None") -> "list[Settlement]":
        del lost
        return []

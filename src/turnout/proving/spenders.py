"""The processes of the proof of budgets: they own the file, spend, look, or break a promise."""

import asyncio
import os
import random
import secrets
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from turnout.core import Bound, Budget, BudgetExceeded, Caller, Request, RouterError
from turnout.ledger import Ledger, store_at
from turnout.ledger.charges import Limits
from turnout.ledger.entries import Charge, Settlement
from turnout.ledger.host import LedgerHost
from turnout.proving.sabotages import Budget as Sabotage
from turnout.proving.workload import RULES, request

LIMIT = 4 * 10**12  # 4 dollars: some hundred requests at once, of the thousand that ask
LEASE_S = 6.0
LONGEST_S = 0.05
_BUDGETS = (
    Budget(per="all", window="total", unit="usd", limit=LIMIT),
    Budget(per="key", window="total", unit="usd", limit=LIMIT // 2),
)


@dataclass(slots=True)
class Run:
    """One running proof: where it writes, and its processes by their ids."""

    place: str
    folder: Path
    seed: int
    tasks: int
    sabotage: Sabotage | None
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    owner: int | None = None

    @property
    def endings_path(self) -> Path:
        """The file in which the processes note how their requests ended."""
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
        ledger = kind(store_at(self.place), catalog=RULES.catalog, lease_s=LEASE_S, shared=shared)
        ledger.use_limits(Limits(_BUDGETS))
        return ledger


def open_once(run: Run) -> None:
    """Open the ledger, which frees lapsed holds, and exit."""
    run.ledger().start().close()


def own_file(run: Run) -> None:
    """Own the file and write for the others, until killed."""
    address, secret = str(run.folder / "socket"), run.secret
    Path(address).unlink(missing_ok=True)
    ledger = run.ledger(owner=True)
    host = LedgerHost(ledger, f"{address}.new", secret)
    ledger.start()
    Path(f"{address}.new").rename(address)
    signal.pause()
    host.close()


def spend(run: Run, process: int) -> None:
    """Ask and spend until told to stop; notes how each request ended."""
    stop = asyncio.Event()
    numbers = count()
    endings = os.open(run.endings_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def task(ledger: Ledger) -> None:
        while not stop.is_set():
            end = await _send_request(ledger, run.seed, process, next(numbers))
            os.write(endings, f"{end}\n".encode())
            if end != "settled":
                await asyncio.sleep(0.1)

    async def all_tasks() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        ledger = run.ledger()
        await asyncio.gather(*(task(ledger) for _ in range(run.tasks)))
        await asyncio.to_thread(ledger.close)

    asyncio.run(all_tasks())


async def _send_request(ledger: Ledger, seed: int, process: int, number: int) -> str:
    ident = f"r_{process + 16:06x}{number:06x}{process:06x}{number:06x}"
    rng = random.Random(f"{seed} {ident}")
    asked, decision, calls = request(ident, rng)
    asked = _with_key(asked, rng.choice("ab"))
    # A price times more tokens than any of these calls uses, like a real bound.
    bound_pico_usd = 2000 * 3_000_000 + 500 * 9_000_000
    bounds = {route.deployment: Bound(bound_pico_usd, 2500) for route in decision.routes}
    try:
        await ledger.decided(asked, decision, bounds)
    except BudgetExceeded as error:
        full = all(s.spent + s.held + (s.needed or 0) > s.budget.limit for s in error.standings)
        return "refused" if full else "false"
    except RouterError:
        return "unsure"
    ending = "settled"
    try:
        for call in calls:
            await asyncio.sleep(rng.uniform(0, LONGEST_S))
            await ledger.attempted(call)
    except BudgetExceeded:
        ending = "stopped"
    except RouterError:
        ending = "unsure"
    try:
        await ledger.settled(decision)
    except RouterError:
        return "unsure"
    return ending


def _with_key(asked: Request, key: str) -> Request:
    caller = Caller(key=key, keys=(key,))
    return Request(id=asked.id, body=asked.body, tenant=caller.tenant, caller=caller)


class _NoLimits(Limits):
    """Looks at budgets and holds nothing of them, as a sabotage."""

    def charges(
        self, request: Request, bounds: Mapping[str, Bound], *rest: Any, **more: Any
    ) -> tuple[Charge, ...]:
        """Something must be left; two requests at a time may both find so."""
        del bounds
        return super().charges(request, {"": Bound(1, 1)}, *rest, **more)


class _HoldsNothing(Ledger):
    """A ledger that checks and records, as a sabotage."""

    def use_limits(self, limits: Limits) -> None:
        """As Ledger.use_limits."""
        super().use_limits(_NoLimits(limits.budgets))


class _ReleasesNothing(Ledger):
    """A ledger that keeps the holds of dead processes, as a sabotage."""

    def _releases(self, is_gone: "Callable[[str], bool] | None") -> "list[Settlement]":
        del is_gone
        return []

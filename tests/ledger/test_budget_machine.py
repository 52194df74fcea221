"""Budgets against a model of thirty lines: whatever is done in whatever order, they agree."""

import asyncio
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tests.ledger.money import CATALOG, decided, failed, make_request, outcome
from turnout.core import Bound, Budget, BudgetExceeded, Caller, Decision, Request, Usage
from turnout.ledger import Ledger, store_at
from turnout.ledger.charges import Limits

LIMITS = {"all": 5_000_000_000, "key": 2_000_000_000, "model": 3_000_000_000}
BUDGETS = [
    Budget(per="all", window="total", unit="usd", limit=LIMITS["all"]),
    Budget(per="key", window="day", unit="usd", limit=LIMITS["key"]),
    Budget(per="model", window="month", unit="usd", limit=LIMITS["model"]),
]
START_MS = 1_796_000_000_000


class Model:
    """What budgets are: sums by account, and a hold for each open request."""

    def __init__(self) -> None:
        self.spent: dict[str, int] = defaultdict(int)
        self.holds: dict[str, dict[str, int]] = {}
        self.used: dict[str, int] = defaultdict(int)

    def accounts(self, key: str) -> list[str]:
        """Where a request counts."""
        return ["all:all:usd", f"key:{key}:usd", "model:large:usd"]

    def held(self, account: str) -> int:
        """The sum of its holds."""
        return sum(hold.get(account, 0) for hold in self.holds.values())

    def ask(self, id_: str, key: str, amount: int) -> bool:
        """Hold an amount besides what was used, or leave all as it was."""
        wanted = dict.fromkeys(self.accounts(key), amount + self.used[id_])
        before = self.holds.pop(id_, None)
        fits = all(
            self.spent[a] + self.held(a) + w <= LIMITS[a.partition(":")[0]]
            for a, w in wanted.items()
        )
        if fits:
            self.holds[id_] = wanted
        elif before is not None:
            self.holds[id_] = before
        return fits

    def end(self, id_: str) -> None:
        """The hold becomes what was used."""
        for account in self.holds.pop(id_):
            self.spent[account] += self.used[id_]


class Budgets(RuleBasedStateMachine):
    """The real ledger on a real file, told what the model is told."""

    open_ = Bundle("open_")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.model = Model()
        self.called: set[str] = set()
        self.stopped: set[str] = set()  # requests whose next attempt was refused
        self.number = 0
        self.begin_process()

    def begin_process(self) -> None:
        """A process opens the ledger."""
        store = store_at(Path(self.folder.name) / "ledger.db", synchronous="OFF")
        self.ledger = Ledger(store, catalog=CATALOG, now_ms=lambda: START_MS)
        self.ledger.limits = Limits(BUDGETS)
        self.ledger.start()

    def run_awaitable(self, work: Any) -> None:
        """Wait for an awaitable of the ledger, made on a running loop."""

        async def run() -> None:
            await work()

        self.loop.run_until_complete(run())

    @rule(target=open_, key=st.sampled_from("ab"), amount=st.integers(0, 2_100_000_000))
    def ask(self, key: str, amount: int) -> tuple[Request, Decision, int] | None:
        """A request that may cost so much."""
        self.number += 1
        request = make_request(self.number, caller=Caller(key=key, keys=(key,)))
        decision = decided(request)
        bounds = {"large": Bound(amount, 100)}
        try:
            self.run_awaitable(lambda: self.ledger.decided(request, decision, bounds))
        except BudgetExceeded as error:
            granted, short = False, all(s.left < amount for s in error.standings)
        else:
            granted = short = True
        assert self.model.ask(decision.id, key, amount) is granted
        assert short
        if not granted:
            return None
        return request, decision, amount

    @rule(one=open_, tokens=st.integers(0, 40))
    def fail(self, one: tuple[Request, Decision, int] | None, tokens: int) -> None:
        """A call fails at a cost within its hold, and the next attempt has to fit beside it."""
        if one is None or one[1].id not in self.model.holds or one[1].id in self.stopped:
            return
        request, decision, amount = one
        assert request.caller is not None
        tokens = min(tokens, amount // 10_000_000)
        cost = tokens * 10_000_000
        self.model.used[decision.id] += cost
        self.called.add(decision.id)
        call = failed(decision, Usage(input=tokens, estimated=True))
        try:
            self.run_awaitable(lambda: self.ledger.attempted(call))
        except BudgetExceeded:
            granted = False
            self.stopped.add(decision.id)
        else:
            granted = True
        assert not cost or self.model.ask(decision.id, request.caller.key, amount) is granted

    @rule(one=consumes(open_), share=st.integers(0, 100))
    def settle(self, one: tuple[Request, Decision, int] | None, share: int) -> None:
        """The request ends, having used a part of what was held for its last attempt."""
        if one is None or one[1].id not in self.model.holds:
            return
        _, decision, amount = one
        share = 0 if decision.id in self.stopped else share
        tokens = amount * share // 100 // 10_000_000  # at $10 a million
        answer = outcome(decision, Usage(input=tokens))

        async def both() -> None:
            await self.ledger.attempted(answer)
            await self.ledger.settled(decision)

        self.run_awaitable(both)
        self.model.used[decision.id] += tokens * 10_000_000
        self.model.end(decision.id)

    @rule(one=consumes(open_))
    def leave(self, one: tuple[Request, Decision, int] | None) -> None:
        """The caller leaves before anything was called."""
        if one is None or one[1].id not in self.model.holds or one[1].id in self.called:
            return
        self.run_awaitable(lambda: self.ledger.abandoned(one[1].id))
        self.model.end(one[1].id)

    @rule()
    def crash(self) -> None:
        """The process dies; the next one frees its holds, which have used what was written."""
        self.ledger._open.clear()
        self.ledger.close()
        for id_ in list(self.model.holds):
            self.model.end(id_)
        self.begin_process()

    @invariant()
    def balances_agree(self) -> None:
        """Balances are the model's, and within their limits."""
        rows = self.ledger.store.fetch("SELECT account, spent, held FROM balances")
        for account, spent, held in rows:
            assert spent == self.model.spent[account], account
            assert held == self.model.held(account), account
            assert spent + held <= LIMITS[account.partition(":")[0]]

    def teardown(self) -> None:
        """Let go."""
        self.ledger.close()
        self.loop.close()
        self.folder.cleanup()


Budgets.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestBudgets = Budgets.TestCase

"""Requests that a proof reports to a ledger, and what it then expects to find there.

Invariant: a request counts as acknowledged only after the ledger said so; a workload is a function
of its seed, except for the order of its tasks.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from turnout.catalog import Catalog, Deployment, ModelCard, Price, Provider, Rates
from turnout.core import (
    Bound,
    Decision,
    Features,
    LedgerError,
    Outcome,
    Prediction,
    Ref,
    Request,
    Route,
    RouterError,
    Snapshot,
    Usage,
)
from turnout.decision import Rulebook, SafetyRule, decide
from turnout.ledger import Ledger, Store, verify
from turnout.policies import IntentMap
from turnout.proving.crowd import run_concurrently

TASKS = 16
BOUNDS = {"small": Bound(10**12, 4000)}

# What was acknowledged: held, settled or refused; the decision's id; the cost in pico-dollars.
Acknowledged = list[tuple[str, str, int]]
OnAcknowledged = Callable[[str, str, int], None]


def catalog() -> Catalog:
    """Two priced models."""
    provider = Provider(name="acme", base_url="http://127.0.0.1:1/v1")
    rates = {
        "small": Rates(input=100_000, output=400_000),
        "large": Rates(input=3_000_000, output=9_000_000),
    }
    return Catalog(
        deployments={
            name: Deployment(
                id=name,
                card=ModelCard(id=f"acme/{name}", quality=0.5 + 0.4 * (name == "large")),
                provider=provider,
                price=Price(rates=rate, source="this proof", date="2026-11-22"),
            )
            for name, rate in rates.items()
        }
    )


RULES = Rulebook(
    catalog=catalog(),
    policy=IntentMap(routes={"code": "large"}, default="small"),
    safety=SafetyRule(threshold=0.5, refusal="no"),
    intents=frozenset({"code"}),
    bundle="sha256:proof",
)


def request(ident: str, rng: random.Random) -> tuple[Request, Decision, Sequence[Outcome]]:
    """A request with its decision and its calls; one in four fails over first."""
    new_request = Request(id=ident, body={"messages": ()})
    features = Features(input_tokens={"o200k_base": rng.randrange(1, 2000)}, output_tokens=400)
    prediction = Prediction(
        classifier=Ref(name="proof"), intents=((rng.choice(("code", "chat")), 0.9),), harm=0.0
    )
    decision = decide(new_request, features, prediction, Snapshot(as_of=1.0), RULES)
    failing = len(decision.routes) > 1 and rng.random() < 0.25
    calls = [_call(decision, decision.routes[0], rng, failed=True)] if failing else []
    calls.append(_call(decision, decision.routes[int(failing)], rng, failed=False))
    return new_request, decision, calls


def _call(decision: Decision, route: Route, rng: random.Random, *, failed: bool) -> Outcome:
    usage = Usage(input=rng.randrange(1, 2000), output=rng.randrange(1, 500))
    return Outcome(
        decision_id=decision.id,
        route=route,
        status="failed" if failed else "ok",
        ordinal=route.ordinal,
        usage=usage,
        model=route.model,
    )


def cost_of(calls: Sequence[Outcome]) -> int:
    """The cost of the calls, computed independently of the ledger."""
    prices = {name: d.price for name, d in RULES.catalog.deployments.items()}
    return sum(
        call.usage.input * price.rates.input + call.usage.output * price.rates.output
        for call in calls
        if (price := prices[call.route.deployment]) is not None
    )


async def work(
    ledger: Ledger, request_ids: Iterator[str], seed: int, on_acknowledged: OnAcknowledged
) -> None:
    """Report requests from several tasks; ``on_acknowledged`` gets each acknowledgement."""

    async def report_request(ident: str) -> None:
        new_request, decision, calls = request(ident, random.Random(f"{seed} {ident}"))
        try:
            await ledger.decided(new_request, decision, BOUNDS)
            on_acknowledged("held", decision.id, 0)
            for call in calls:
                await ledger.attempted(call)
            await ledger.settled(decision)
        except RouterError:
            on_acknowledged("refused", decision.id, 0)
            await asyncio.sleep(0.01)
        else:
            on_acknowledged("settled", decision.id, cost_of(calls))

    await run_concurrently(request_ids, report_request, TASKS)


def request_ids(run: int, count: int) -> Iterator[str]:
    """Ids of a run's requests, sorted as they are given."""
    return (f"r_{run:06x}{number:06x}{run:06x}{number:06x}" for number in range(count))


@dataclass(slots=True)
class Tally:
    """What was acknowledged, and how much of it the ledger no longer has."""

    acknowledged: int = 0
    held: int = 0
    refused: int = 0
    lost: int = 0
    doubled: int = 0
    altered: int = 0
    unsound: int = 0
    findings: list[str] = field(default_factory=list)

    def wrong(self) -> dict[str, int]:
        """The counts that must be zero."""
        return {
            "lost": self.lost,
            "doubled": self.doubled,
            "altered": self.altered,
            "unsound": self.unsound,
        }

    def shown(self) -> dict[str, int]:
        """The counts that say how much was looked at."""
        return {"acknowledged": self.acknowledged, "holds": self.held}

    def add(self, store: Store, acknowledged: Acknowledged, *, verify_all: bool) -> None:
        """Compare one run's acknowledgements with the ledger; ``verify_all``: verify all of it."""
        rows: dict[str, list[tuple[str, int]]] = {}
        for id_, state, cost in store.fetch("SELECT id, state, cost FROM settlements"):
            rows.setdefault(id_, []).append((state, cost))
        known = {row[0] for row in store.fetch("SELECT id FROM requests")}
        for kind, id_, cost in acknowledged:
            if kind == "held":
                self.held += 1
                self.lost += id_ not in known
            elif kind == "settled":
                self.acknowledged += 1
                self._compare_settlement(rows.get(id_, []), cost)
            else:
                self.refused += 1
        if verify_all:
            self._verify(store)

    def _compare_settlement(self, rows: Sequence[tuple[str, int]], cost: int) -> None:
        final = [row for row in rows if row[0] != "released"]
        self.lost += not final
        self.doubled += len(final) > 1
        self.altered += bool(final) and sum(row[1] for row in rows) != cost

    def _verify(self, store: Store) -> None:
        try:
            found = verify(store)
        except LedgerError as error:
            found = [str(error)]
        self.unsound += bool(found)
        self.findings += found

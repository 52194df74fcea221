"""The ledger as the runtime sees it: hold, decide, call, settle; asynchronous and blocking.

Invariant: ``held`` and ``decided`` return when the hold is durable, ``settled`` when all calls are.
A call that failed is durable before the next one begins. This module does not know SQL.
"""

import asyncio
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from turnout.catalog import Catalog, Deployment
from turnout.core import Decision, InvalidRequest, LedgerError, Outcome, Request, RouterError
from turnout.ledger.account import Recorded, answering, settlement
from turnout.ledger.entries import UNDECIDED, Call, Decided, Hold, Opinion, Settlement
from turnout.ledger.pricing import call_of
from turnout.ledger.records import pack
from turnout.ledger.store import Store
from turnout.ledger.twins import extremes
from turnout.ledger.writer import DONE, Ticket, Writer

LEASE_S = 900.0
CACHE_LIFE_MS = 300_000
MOST_SESSIONS = 10_000


@dataclass(slots=True, kw_only=True)
class _Open:
    """A request under way: what is known of it, and what of that is written already."""

    hold: Hold
    lease_until: float
    session: str | None
    decision: Decision | None = None
    recorded: list[Recorded] = field(default_factory=list)
    tickets: dict[int, Ticket] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)

    def unwritten(self) -> list[Call]:
        """The calls whose own entries were not written, or not yet."""
        failed = {n for n, ticket in self.tickets.items() if ticket.error is not None}
        return [c for _, c in self.recorded if c.n not in self.tickets or c.n in failed]


class Ledger:
    """Records what requests decide and cost.

    ``now_ms`` is the wall clock of the records, ``lease_s`` how long a hold lives unsettled, and
    ``idle_s`` after how long without work the file is left to other processes (None: never).
    """

    def __init__(
        self,
        store: Store,
        *,
        catalog: Catalog,
        stand_in: Deployment | None = None,
        lease_s: float = LEASE_S,
        idle_s: float | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.store = store
        self._price_by(catalog)
        self._stand_in = stand_in
        self._lease_s = lease_s
        self._now_ms = now_ms
        self._owner = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._open: dict[str, _Open] = {}
        self._sessions: OrderedDict[str, tuple[int, str, int]] = OrderedDict()
        self._writer = Writer(
            store, upkeep=self._lapsed, busy=lambda: bool(self._open), idle_s=idle_s
        )

    def start(self) -> Self:
        """Open the store now. Raises ConfigError or LedgerError."""
        self._writer.start()
        return self

    def price_by(self, catalog: Catalog) -> None:
        """From now on calls are priced by another catalogue."""
        self._price_by(catalog)

    def _price_by(self, catalog: Catalog) -> None:
        self._catalog = catalog
        # Vectors are compared with no other model's answer, and no stand-in gives them.
        self._chat = catalog.only("chat")
        self._marks = extremes(self._chat)

    def close(self) -> None:
        """Write what is queued and let go of the store."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    async def held(self, request: Request, decision_id: str, ceiling_pico_usd: int | None) -> None:
        """Set money aside before the decision is made, for a call that helps to make it."""
        ticket = self._hold(request, decision_id, ceiling_pico_usd, _loop())
        with self._undone(decision_id):
            await ticket.written()

    async def decided(
        self, request: Request, decision: Decision, ceiling_pico_usd: int | None
    ) -> None:
        """Record a decision, and the hold on the most that an attempt of it can cost."""
        ticket = self._decide(request, decision, ceiling_pico_usd, _loop())
        with self._undone(decision.id):
            await ticket.written()

    def attempted(self, outcome: Outcome) -> Awaitable[None]:
        """Record a call that ended. One that failed is durable when the awaitable is done."""
        ticket = self._attempt(outcome, _loop())
        return DONE if ticket is None else ticket.written()

    def settled(self, decision: Decision) -> Awaitable[None]:
        """Record that nothing more will be spent.

        When the awaitable is done, the hold is gone and all calls are durable.
        """
        ticket = self._settle(decision, _loop())
        return DONE if ticket is None else ticket.written()

    async def abandoned(self, decision_id: str) -> None:
        """Free the hold of a request that ended before its walk; its calls are kept."""
        ticket = self._abandon(decision_id, _loop())
        if ticket is not None:
            await ticket.written()

    async def feedback(
        self, decision_id: str, metric: str, value: float, *, source: str = "user"
    ) -> None:
        """Record feedback on an answer. Raises InvalidRequest for an unknown decision."""
        opinion = await asyncio.to_thread(self._opinion, decision_id, metric, value, source)
        await self._writer.submit(opinion, _loop()).written()

    def noted(self, decision_id: str, kind: str, detail: str) -> None:
        """Something that a person should know of a request; written with its settlement."""
        entry = self._open.get(decision_id)
        if entry is not None:
            entry.notes.append((kind, detail))

    @property
    def blocking(self) -> "BlockingLedger":
        """The same for callers without an event loop."""
        return BlockingLedger(self)

    def fetch(self, sql: str, row: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self.store.fetch(sql, row)

    def _hold(
        self,
        request: Request,
        decision_id: str,
        ceiling: int | None,
        loop: asyncio.AbstractEventLoop | None,
    ) -> Ticket:
        hold = self._begin(request, decision_id, ceiling)
        return self._writer.submit(hold, loop)

    def _decide(
        self,
        request: Request,
        decision: Decision,
        ceiling: int | None,
        loop: asyncio.AbstractEventLoop | None,
    ) -> Ticket:
        entry = Decided(
            hold=self._begin(request, decision.id, ceiling),
            intent=decision.intent,
            model=decision.model,
            deployment=decision.deployment,
            blocked=decision.blocked is not None,
            tenant=request.tenant,
            session=request.session,
            record=pack(request, decision),
        )
        self._open[decision.id].decision = decision
        return self._writer.submit(entry, loop)

    @contextmanager
    def _undone(self, decision_id: str) -> Iterator[None]:
        """Forget a request whose hold could not be written: nothing may be spent on it."""
        try:
            yield
        except RouterError:
            self._open.pop(decision_id, None)
            raise

    def _begin(self, request: Request, decision_id: str, ceiling: int | None) -> Hold:
        now = self._now_ms()
        known = self._open.get(decision_id)
        hold = Hold(
            id=decision_id,
            request_id=request.id,
            at_ms=known.hold.at_ms if known else now,
            amount_pico_usd=ceiling,
            lease_until_ms=now + int(self._lease_s * 1000),
            owner=self._owner,
        )
        entry = self._open.setdefault(
            decision_id, _Open(hold=hold, lease_until=0.0, session=request.session)
        )
        entry.hold, entry.lease_until = hold, time.monotonic() + self._lease_s
        return hold

    def _attempt(self, outcome: Outcome, loop: asyncio.AbstractEventLoop | None) -> Ticket | None:
        entry = self._open.get(outcome.decision_id)
        if entry is None:
            raise LedgerError(f"{outcome.decision_id} was not decided, or is settled already")
        call = call_of(outcome, len(entry.recorded), self._catalog, self._stand_in_for(outcome))
        entry.recorded.append((outcome, call))
        verified = outcome.route.role == "verifier"
        if not verified and (outcome.status != "failed" or outcome.released):
            return None  # its settlement follows at once and takes it along
        ticket = self._writer.submit(call, loop)
        entry.tickets[call.n] = ticket
        return ticket

    def _stand_in_for(self, outcome: Outcome) -> Deployment | None:
        chat = self._is_chat(outcome.route.deployment)
        return self._stand_in if outcome.is_answer and chat else None

    def _is_chat(self, deployment: str | None) -> bool:
        return deployment is None or deployment in self._chat.deployments

    def _settle(self, decision: Decision, loop: asyncio.AbstractEventLoop | None) -> Ticket | None:
        entry = self._open.pop(decision.id, None)
        if entry is None:
            return None
        end = settlement(
            decision,
            entry.recorded,
            unwritten=entry.unwritten(),
            catalog=self._chat,
            marks=self._marks,
            stand_in=self._stand_in if self._is_chat(decision.deployment) else None,
            at_ms=self._now_ms(),
            decided_ms=entry.hold.at_ms,
            reusable=self._reusable(entry),
            notes=entry.notes,
        )
        return self._writer.submit(end, loop)

    def _reusable(self, entry: _Open) -> int:
        """Prompt tokens of the session's last turn that another model still has in its cache."""
        session, answer = entry.session, answering(entry.recorded)
        if session is None or answer is None:
            return 0
        at_ms, deployment, tokens = self._sessions.pop(session, (0, "", 0))
        here = answer[0].route.deployment
        self._sessions[session] = entry.hold.at_ms, here, answer[0].usage.total_input
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        fresh = 0 <= entry.hold.at_ms - at_ms <= CACHE_LIFE_MS
        return tokens if fresh and deployment != here else 0

    def _abandon(self, decision_id: str, loop: asyncio.AbstractEventLoop | None) -> Ticket | None:
        entry = self._open.get(decision_id)
        if entry is None:
            return None
        if entry.decision is not None:
            return self._settle(entry.decision, loop)
        del self._open[decision_id]
        end = release(entry.hold, self._now_ms(), [c.cost_pico_usd for _, c in entry.recorded])
        return self._writer.submit(end._replace(calls=tuple(entry.unwritten())), loop)

    def _opinion(self, decision_id: str, metric: str, value: float, source: str) -> Opinion:
        if not self.fetch("SELECT 1 FROM requests WHERE id = $1", (decision_id,)):
            raise InvalidRequest(
                f"decision {decision_id!r} is not in the ledger; turnout ledger list shows them",
                field="decision_id",
            )
        if not -1e6 <= value <= 1e6:
            raise InvalidRequest(f"value is {value!r}; use a number up to a million", field="value")
        return Opinion(
            id=decision_id,
            at_ms=self._now_ms(),
            metric=metric,
            value_micro=round(value * 1_000_000),
            source=source,
        )

    def _lapsed(self, opening: bool) -> Sequence[Settlement]:  # noqa: FBT001 -- the writer's callback
        """Releases of holds that nobody will settle: lapsed ones, and a dead owner's."""
        dead_owners = opening and self.store.exclusive
        rows = self.store.fetch(
            "SELECT id, request_id, at_ms, amount, lease_until_ms, owner FROM holds "
            "WHERE lease_until_ms < $1 OR ($2 = 1 AND owner <> $3)",
            (self._now_ms(), int(dead_owners), self._owner),
        )
        found = []
        for id_, request_id, at_ms, amount, lease, owner in rows:
            own = self._open.get(id_)
            if own is not None and own.lease_until > time.monotonic():
                continue  # the wall clock was moved, the lease has not passed
            self._open.pop(id_, None)
            hold = Hold(
                id=id_,
                request_id=request_id,
                at_ms=at_ms,
                amount_pico_usd=amount,
                lease_until_ms=lease,
                owner=owner,
            )
            found.append(self._release_stored(hold))
        return found

    def _release_stored(self, hold: Hold) -> Settlement:
        known = self.fetch(
            "SELECT intent, coalesce(deployment, ''), at_ms FROM requests WHERE id = $1", (hold.id,)
        )
        costs = [row[0] for row in self.fetch("SELECT cost FROM calls WHERE id = $1", (hold.id,))]
        end = release(hold, self._now_ms(), costs)
        if not known:
            return end
        intent, model, at_ms = known[0]
        return end._replace(intent=intent, model=model, decided_ms=at_ms)


def release(hold: Hold, at_ms: int, costs: Sequence[int | None]) -> Settlement:
    """The end of a hold that nobody settled; ``costs`` are those of its calls."""
    known = [cost for cost in costs if cost is not None]
    return Settlement(
        id=hold.id,
        request_id=hold.request_id,
        at_ms=at_ms,
        state="released",
        decided_ms=hold.at_ms,
        intent=UNDECIDED,
        model="",
        answered=False,
        blocked=False,
        stand_in=False,
        cost_pico_usd=sum(known),
        extra_pico_usd=sum(known),
        extra_calls=len(costs),
        unknown_calls=len(costs) - len(known),
        input=0,
        cache_read=0,
        cache_write=0,
        output=0,
        reasoning=0,
        quality_ppm=None,
    )


class BlockingLedger:
    """The ledger for callers without an event loop: the same entries, waited for by blocking."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def held(self, request: Request, decision_id: str, ceiling_pico_usd: int | None) -> None:
        """As Ledger.held."""
        ticket = self._ledger._hold(request, decision_id, ceiling_pico_usd, None)  # noqa: SLF001 -- its twin
        with self._ledger._undone(decision_id):  # noqa: SLF001 -- its twin
            ticket.wait()

    def decided(self, request: Request, decision: Decision, ceiling_pico_usd: int | None) -> None:
        """As Ledger.decided."""
        ticket = self._ledger._decide(request, decision, ceiling_pico_usd, None)  # noqa: SLF001 -- its twin
        with self._ledger._undone(decision.id):  # noqa: SLF001 -- its twin
            ticket.wait()

    def attempted(self, outcome: Outcome) -> None:
        """As Ledger.attempted."""
        ticket = self._ledger._attempt(outcome, None)  # noqa: SLF001 -- its twin
        if ticket is not None:
            ticket.wait()

    def settled(self, decision: Decision) -> None:
        """As Ledger.settled."""
        ticket = self._ledger._settle(decision, None)  # noqa: SLF001 -- its twin
        if ticket is not None:
            ticket.wait()

    def feedback(
        self, decision_id: str, metric: str, value: float, *, source: str = "user"
    ) -> None:
        """As Ledger.feedback."""
        opinion = self._ledger._opinion(decision_id, metric, value, source)  # noqa: SLF001 -- its twin
        self._ledger._writer.submit(opinion).wait()  # noqa: SLF001 -- its twin


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def store_at(where: str | Path, **more: Any) -> Store:
    """The store that a path or a ``postgresql://`` URL names. Raises ConfigError."""
    if str(where).startswith(("postgresql://", "postgres://")):
        from turnout.ledger.postgres import PostgresStore

        return PostgresStore(str(where), **more)
    from turnout.ledger.sqlite import SqliteStore

    return SqliteStore(where, **more)

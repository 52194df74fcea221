"""The ledger as the runtime sees it: hold, decide, call, settle; asynchronous and blocking.

Invariant: ``held`` and ``decided`` return when the hold is durable, ``settled`` when all calls are.
A call that failed is durable before the next one begins. This module does not know SQL.
"""

import asyncio
import json
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from turnout.catalog import Catalog, Deployment
from turnout.core import (
    Bound,
    Decision,
    InvalidRequest,
    LedgerError,
    Outcome,
    Request,
    RouterError,
)
from turnout.core.budget import NO_BOUNDS
from turnout.ledger.account import Recorded, answering, settlement
from turnout.ledger.charges import Limits, Spent, spent_of, total_of, uses
from turnout.ledger.directory import RISING, Directory
from turnout.ledger.entries import (
    UNDECIDED,
    Call,
    Change,
    Charge,
    Decided,
    Entry,
    Hold,
    Opinion,
    Settlement,
)
from turnout.ledger.pricing import call_of
from turnout.ledger.records import pack
from turnout.ledger.replays import outdated
from turnout.ledger.store import Store
from turnout.ledger.twins import extremes
from turnout.ledger.writer import DONE, Ticket, Writer

if TYPE_CHECKING:
    from turnout.ledger.shared import RemoteWriter

LEASE_S = 900.0
CACHE_LIFE_MS = 300_000
MOST_SESSIONS = 10_000
NOTHING_SPENT = Bound(0, 0)


@dataclass(slots=True, kw_only=True)
class _Open:
    """A request under way: what is known of it, and what of that is written already."""

    request: Request
    hold: Hold
    lease_until: float = 0.0
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    granted: Hold | None = None  # the hold as it is known to be in the ledger
    asking: Ticket | None = None  # its latest change, until it is known what became of that
    decision: Decision | None = None
    recorded: list[Recorded] = field(default_factory=list)
    tickets: dict[int, Ticket] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def spent(self) -> list[Spent]:
        """What its calls have used so far."""
        return spent_of(call for _, call in self.recorded)

    @property
    def unknown(self) -> bool:
        """Whether the latest change of the hold may yet be refused."""
        return self.asking is not None and not self.asking.told

    def look(self) -> bool:
        """Take in what became of the hold's latest change; whether there is a hold at all."""
        ticket, self.asking = self.asking, None
        if ticket is not None and ticket.error is None:
            self.granted = self.hold
        elif self.granted is not None:
            self.hold = self.granted
        return self.granted is not None

    def unwritten(self) -> list[Call]:
        """The calls whose own entries were not written, or not yet."""
        failed = {n for n, ticket in self.tickets.items() if ticket.error is not None}
        return [c for _, c in self.recorded if c.n not in self.tickets or c.n in failed]


class Ledger:
    """Records what requests decide and cost.

    With ``shared``, an address and a secret, another process writes (see ``shared``). ``now_ms`` is
    the wall clock of the records, ``lease_s`` how long a hold lives unsettled, and
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
        shared: "tuple[str, bytes] | None" = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.store = store
        self.limits = Limits()
        self.directory: Directory | None = Directory(store, self.limit_by)
        self._price_by(catalog)
        self._stand_in = stand_in
        self._lease_s = lease_s
        self.now_ms = now_ms
        self.owner = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._open: dict[str, _Open] = {}
        self._sessions: OrderedDict[str, tuple[int, str, int]] = OrderedDict()
        self.owners: set[str] = set()  # other processes that write through this one
        self._gone: set[str] = set()
        self._grace_s = 0.0
        self._opened: float | None = None  # when, while it is not known who is still alive
        self._writer = self._new_writer(idle_s, shared)

    def _new_writer(
        self, idle_s: float | None, shared: tuple[str, bytes] | None
    ) -> "Writer | RemoteWriter":
        if shared is not None:
            from turnout.ledger.shared import RemoteWriter

            return RemoteWriter(*shared, owner=self.owner)
        return Writer(
            self.store, upkeep=self._upkeep, busy=lambda: bool(self._open or self.owners),
            idle_s=idle_s,
        )  # fmt: skip

    @property
    def lease_ms(self) -> int:
        """How long a hold or a claim lives when nobody ends it."""
        return int(self._lease_s * 1000)

    def expect_guests(self, grace_s: float) -> None:
        """Other processes will write through this one; to be called before it is started.

        Those of a former owner have ``grace_s`` to come back before their holds are freed.
        """
        self._grace_s = grace_s

    def submit(self, ticket: Ticket) -> None:
        """Write for another process."""
        self._writer.put(ticket)

    def forget_owner(self, owner: str) -> None:
        """Another process has ended: its holds are freed at the next look."""
        self.owners.discard(owner)
        self._gone.add(owner)

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

    def limit_by(self, limits: Limits) -> None:
        """From now on holds must fit these budgets."""
        self.limits = limits

    def change(self, *changes: Change) -> None:
        """Store changes of keys or budgets. Blocks; raises LedgerError."""
        tickets = [self._writer.submit(change) for change in (*changes, RISING)]
        for ticket in tickets:
            ticket.wait()

    def written(self, change: Change) -> Awaitable[None]:
        """Store a change that no snapshot shows; done when it is durable. Raises LedgerError."""
        return self._writer.submit(change, _loop()).written()

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

    async def held(
        self,
        request: Request,
        decision_id: str,
        ceiling_pico_usd: int | None,
        bounds: Mapping[str, Bound] = NO_BOUNDS,
    ) -> None:
        """Set money aside before the decision is made, for a call that helps to make it.

        Raises BudgetExceeded where it does not fit.
        """
        ticket = self._hold(request, decision_id, ceiling_pico_usd, bounds, _loop())
        await self._granted(decision_id, ticket)

    async def decided(
        self,
        request: Request,
        decision: Decision,
        ceiling_pico_usd: int | None,
        bounds: Mapping[str, Bound] = NO_BOUNDS,
    ) -> None:
        """Record a decision, and the hold on the most that an attempt of it can cost.

        Raises BudgetExceeded where it does not fit.
        """
        ticket = self._decide(request, decision, ceiling_pico_usd, bounds, _loop())
        await self._granted(decision.id, ticket)

    def attempted(self, outcome: Outcome) -> Awaitable[None]:
        """Record a call that ended. One that failed is durable when the awaitable is done."""
        ticket = self._attempt(outcome, _loop())
        return DONE if ticket is None else ticket.written()

    def settled(self, decision: Decision) -> Awaitable[None]:
        """Record that nothing more will be spent.

        When the awaitable is done, the hold is gone and all calls are durable.
        """
        entry = self._open.get(decision.id)
        if entry is not None and entry.unknown:
            return self._settled_when_known(decision)
        ticket = self._settle(decision, _loop())
        return DONE if ticket is None else ticket.written()

    async def abandoned(self, decision_id: str) -> None:
        """Free the hold of a request that ended before its walk; its calls are kept."""
        await self._known(decision_id)
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
        bounds: Mapping[str, Bound],
        loop: asyncio.AbstractEventLoop | None,
    ) -> Ticket:
        entry = self._begin(request, decision_id, ceiling, bounds)
        entry.asking = self._writer.submit(entry.hold, loop)
        return entry.asking

    def _decide(
        self,
        request: Request,
        decision: Decision,
        ceiling: int | None,
        bounds: Mapping[str, Bound],
        loop: asyncio.AbstractEventLoop | None,
    ) -> Ticket:
        entry = self._begin(request, decision.id, ceiling, bounds)
        entry.decision = decision
        entry.asking = self._writer.submit(
            Decided(
                hold=entry.hold,
                intent=decision.intent,
                model=decision.model,
                deployment=decision.deployment,
                blocked=decision.blocked is not None,
                tenant=request.tenant,
                session=request.session,
                record=pack(request, decision),
            ),
            loop,
        )
        return entry.asking

    async def _granted(self, decision_id: str, ticket: Ticket) -> None:
        """Wait for a hold; one that could not be written is forgotten, nothing may be spent."""
        entry = self._open[decision_id]
        written = ticket.written()
        try:
            # Whether a budget had room must be known even when the caller has left.
            await (asyncio.shield(written) if entry.hold.charges else written)
        except RouterError:
            self._forget(decision_id)
            raise
        entry.look()

    def _forget(self, decision_id: str) -> None:
        """A hold was refused: what was granted before stands, if anything was."""
        entry = self._open.get(decision_id)
        if entry is None:
            return
        entry.decision = None
        if not entry.look():
            del self._open[decision_id]

    async def _known(self, decision_id: str) -> None:
        """Wait until it is known whether the latest hold was granted."""
        entry = self._open.get(decision_id)
        if entry is None or entry.asking is None:
            return
        try:
            if entry.hold.charges:
                await entry.asking.written()
        except RouterError:
            self._forget(decision_id)
        else:
            entry.look()

    async def _settled_when_known(self, decision: Decision) -> None:
        await self._known(decision.id)
        ticket = self._settle(decision, _loop())
        if ticket is not None:
            await ticket.written()

    def _begin(
        self,
        request: Request,
        decision_id: str,
        ceiling: int | None,
        bounds: Mapping[str, Bound],
    ) -> _Open:
        now = self.now_ms()
        known = self._open.get(decision_id)
        if known is not None:
            known.look()
        at_ms = known.hold.at_ms if known else now
        charges: tuple[Charge, ...] = ()
        if self.limits:
            spent = total_of(known.spent) if known else NOTHING_SPENT
            most = bounds or {"": Bound(ceiling, 0)}
            charges = self.limits.charges(request, most, spent, at_ms)
        hold = Hold(
            id=decision_id,
            request_id=request.id,
            at_ms=at_ms,
            amount_pico_usd=ceiling,
            lease_until_ms=now + self.lease_ms,
            owner=self.owner,
            charges=charges,
            replaces=known.granted.charges if known and known.granted else (),
        )
        entry = known or self._open.setdefault(decision_id, _Open(request=request, hold=hold))
        entry.hold, entry.bounds = hold, bounds
        entry.lease_until = time.monotonic() + self._lease_s
        return entry

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
        if not entry.hold.charges or not (call.cost_pico_usd is None or call.cost_pico_usd):
            return ticket
        # What the failure has cost is no longer there for the next attempt.
        more = self._begin(entry.request, call.id, entry.hold.amount_pico_usd, entry.bounds)
        more.asking = self._writer.submit(more.hold, loop)
        return more.asking

    def _stand_in_for(self, outcome: Outcome) -> Deployment | None:
        chat = self._is_chat(outcome.route.deployment)
        return self._stand_in if outcome.is_answer and chat else None

    def _is_chat(self, deployment: str | None) -> bool:
        return deployment is None or deployment in self._chat.deployments

    def _settle(self, decision: Decision, loop: asyncio.AbstractEventLoop | None) -> Ticket | None:
        entry = self._open.pop(decision.id, None)
        if entry is None:
            return None
        entry.look()
        end = settlement(
            decision,
            entry.recorded,
            unwritten=entry.unwritten(),
            catalog=self._chat,
            marks=self._marks,
            stand_in=self._stand_in if self._is_chat(decision.deployment) else None,
            at_ms=self.now_ms(),
            decided_ms=entry.hold.at_ms,
            reusable=self._reusable(entry),
            notes=entry.notes,
        )
        return self._writer.submit(_with_uses(end, entry), loop)

    def _reusable(self, entry: _Open) -> int:
        """Prompt tokens of the session's last turn that another model still has in its cache."""
        session, answer = entry.request.session, answering(entry.recorded)
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
        end = release(entry.hold, self.now_ms(), [c.cost_pico_usd for _, c in entry.recorded])
        end = end._replace(calls=tuple(entry.unwritten()))
        return self._writer.submit(_with_uses(end, entry), loop)

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
            at_ms=self.now_ms(),
            metric=metric,
            value_micro=round(value * 1_000_000),
            source=source,
        )

    def _upkeep(self, opening: bool) -> Sequence[Entry]:  # noqa: FBT001 -- the writer's callback
        """What to write, or remove, that nobody waits for."""
        lost = self._lost(opening=opening)
        return [*self._lapsed(lost), *outdated(self.store, self.now_ms(), lost)]

    def _lost(self, *, opening: bool) -> Callable[[str], bool] | None:
        """Tells of an owner whether it has ended; None where nobody can have."""
        if opening and self.store.exclusive:
            self._opened = time.monotonic()
        dead = self._opened is not None and time.monotonic() >= self._opened + self._grace_s
        if dead:
            self._opened = None
        gone, self._gone = self._gone, set()
        living = {self.owner, *self.owners}
        if dead:
            return lambda owner: owner not in living
        return gone.__contains__ if gone else None

    def _lapsed(self, lost: Callable[[str], bool] | None) -> Sequence[Settlement]:
        """Releases of holds that nobody will settle: lapsed ones, and those of lost owners."""
        rows = self.store.fetch(
            "SELECT id, request_id, at_ms, amount, lease_until_ms, owner, charges FROM holds "
            "WHERE lease_until_ms < $1 OR $2 = 1",
            (self.now_ms(), int(lost is not None)),
        )
        found = []
        for id_, request_id, at_ms, amount, lease, owner, charges in rows:
            if lease >= self.now_ms() and not (lost and lost(owner)):
                continue
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
            found.append(self._release_stored(hold, json.loads(charges or "[]")))
        return found

    def _release_stored(
        self, hold: Hold, charges: Sequence[tuple[str, str, int]] = ()
    ) -> Settlement:
        known = self.fetch(
            "SELECT intent, coalesce(deployment, ''), at_ms FROM requests WHERE id = $1", (hold.id,)
        )
        calls = self.fetch(
            "SELECT deployment, cost, input + cache_read + cache_write + output + reasoning "
            "FROM calls WHERE id = $1",
            (hold.id,),
        )
        end = release(hold, self.now_ms(), [cost for _, cost, _ in calls])
        end = end._replace(uses=uses(charges, calls))
        if not known:
            return end
        intent, model, at_ms = known[0]
        return end._replace(intent=intent, model=model, decided_ms=at_ms)


def _with_uses(end: Settlement, entry: _Open) -> Settlement:
    """The settlement with what became of the hold's charges; most requests have none."""
    held = [(c.account, c.window, c.amount or 0) for c in entry.hold.charges]
    return end._replace(uses=uses(held, entry.spent)) if held else end


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

    def held(
        self,
        request: Request,
        decision_id: str,
        ceiling_pico_usd: int | None,
        bounds: Mapping[str, Bound] = NO_BOUNDS,
    ) -> None:
        """As Ledger.held."""
        self._granted(
            decision_id,
            self._ledger._hold(request, decision_id, ceiling_pico_usd, bounds, None),  # noqa: SLF001 -- its twin
        )

    def decided(
        self,
        request: Request,
        decision: Decision,
        ceiling_pico_usd: int | None,
        bounds: Mapping[str, Bound] = NO_BOUNDS,
    ) -> None:
        """As Ledger.decided."""
        self._granted(
            decision.id,
            self._ledger._decide(request, decision, ceiling_pico_usd, bounds, None),  # noqa: SLF001 -- its twin
        )

    def _granted(self, decision_id: str, ticket: Ticket) -> None:
        try:
            ticket.wait()
        except RouterError:
            self._ledger._forget(decision_id)  # noqa: SLF001 -- its twin
            raise
        self._ledger._open[decision_id].look()  # noqa: SLF001 -- its twin

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

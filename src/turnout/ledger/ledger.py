"""The ledger as the runtime uses it: hold, decide, call, settle; asynchronous and blocking.

Invariant: ``held`` and ``decided`` return when the hold is on disk, ``settled`` when all calls are.
A failed call is on disk before the next one begins. This module does not know SQL.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from msgspec import structs

from turnout.catalog import Catalog, Deployment
from turnout.core import Bound, Decision, LedgerError, Outcome, Request, RouterError
from turnout.core.budget import NO_BOUNDS
from turnout.ledger.account import delivered_call, settlement
from turnout.ledger.charges import Limits, highest_cost, model_of
from turnout.ledger.directory import BUMP_REVISION, NO_CHANGE, Directory
from turnout.ledger.entries import (
    MOST_STORED,
    Change,
    Charge,
    Decided,
    Entry,
    Hold,
    Settlement,
)
from turnout.ledger.feedback import opinion_of
from turnout.ledger.open_request import Models, OpenRequest
from turnout.ledger.orphans import IsGone, Owners, orphaned_holds, release_of, release_of_stored
from turnout.ledger.pricing import call_of
from turnout.ledger.recorder import Recorder
from turnout.ledger.records import pack
from turnout.ledger.replays import expired_replays
from turnout.ledger.sessions import Sessions
from turnout.ledger.standings import past_balances_removal
from turnout.ledger.store import Store
from turnout.ledger.ticket import DONE, Ticket
from turnout.ledger.writer import Writer

if TYPE_CHECKING:
    from turnout.ledger.remote import RemoteWriter

LEASE_S = 900.0
_CLEANUP_S = 3600.0


class Ledger(Recorder):
    """Records what requests decide and cost.

    With ``shared``, an address and a secret, another process writes (see ``host``). ``now_ms`` is
    the wall clock of the records, ``lease_s`` how long a hold lives unsettled, and
    ``idle_s`` after how long without work the file is left to other processes (None: never).
    ``after_close`` is called once nothing more will be written.
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
        self.directory: Directory | None = Directory(store, self.use_limits)
        self.use_prices(catalog)
        self._stand_in = stand_in
        self._lease_s = lease_s
        self.now_ms = now_ms
        self.after_close: list[Callable[[], object]] = []
        self._open: dict[str, OpenRequest] = {}
        self._guest_leases: dict[str, float] = {}  # holds of other living processes, and until when
        self._sessions = Sessions()
        self._next_cleanup = 0.0
        self.owners = Owners(f"{os.getpid()}-{secrets.token_hex(4)}")
        self._writer = self._new_writer(idle_s, shared)
        self._inbox = self._writer.inbox

    def _new_writer(
        self, idle_s: float | None, shared: tuple[str, bytes] | None
    ) -> "Writer | RemoteWriter":
        if shared is not None:
            from turnout.ledger.remote import RemoteWriter

            return RemoteWriter(*shared, owner=self.owners.own)
        return Writer(
            self.store, upkeep=self._upkeep, busy=self._is_busy, idle_s=idle_s
        )  # fmt: skip

    def _is_busy(self) -> bool:
        """Whether something may come at any time; of what has lapsed that is not known."""
        return bool(self.owners.guests) or not all(e.has_lapsed for e in list(self._open.values()))

    @property
    def lease_ms(self) -> int:
        """How many milliseconds a hold or a claim lives if nobody ends it."""
        return int(self._lease_s * 1000)

    def submit(self, tickets: Sequence[Ticket]) -> None:
        """Write an entry of another process. Raises LedgerError when closed."""
        self._inbox.put(tickets)

    def start(self) -> Self:
        """Open the store now. Raises ConfigError or LedgerError."""
        self._writer.start()
        return self

    def use_prices(self, catalog: Catalog) -> None:
        """Use another catalogue for the prices of requests that begin from now on."""
        self._models = Models.from_catalog(catalog)

    def use_limits(self, limits: Limits) -> None:
        """Use these budgets for holds from now on."""
        self.limits = limits

    def change(self, *changes: Change) -> None:
        """Store changes of keys or budgets. Blocks; raises LedgerError."""
        tickets = [self._inbox.submit(change) for change in (*changes, BUMP_REVISION)]
        for ticket in tickets:
            ticket.wait()

    async def check_writable(self) -> None:
        """As Recorder.check_writable."""
        await self.write(NO_CHANGE)

    def write(self, change: Change) -> Awaitable[None]:
        """Store a change that needs no new snapshot, and wait for it. Raises LedgerError."""
        return self._submit(change).written()

    def close(self) -> None:
        """Write what is queued, close the store, and call ``after_close``."""
        self._writer.close()
        for callback in self.after_close:
            callback()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.close()

    def held(
        self,
        request: Request,
        decision_id: str,
        bounds: Mapping[str, Bound] = NO_BOUNDS,
    ) -> Coroutine[Any, Any, None]:
        """Set money aside for a call that is made before the decision, to decide."""
        entry = self._begin(request, decision_id, bounds)
        return self._write_hold(entry, entry.hold)

    def decided(
        self,
        request: Request,
        decision: Decision,
        bounds: Mapping[str, Bound] = NO_BOUNDS,
    ) -> Coroutine[Any, Any, None]:
        """Record a decision, and the hold on the most that an attempt of it can cost."""
        record = pack(request, decision)
        carried_out = bool(decision.routes or decision.blocked)
        entry = self._begin(request, decision.id, bounds, requests=int(carried_out))
        entry.decision = decision
        change = Decided(
            hold=entry.hold,
            intent=decision.intent,
            model=decision.model,
            deployment=decision.deployment,
            blocked=decision.blocked is not None,
            tenant=request.tenant,
            session=request.session,
            record=record,
        )
        return self._write_hold(entry, change)

    def attempted(self, outcome: Outcome) -> Awaitable[None]:
        """Record a call that ended. One that failed is durable when the awaitable is done."""
        entry = self._open.get(outcome.decision_id)
        if entry is None:
            raise LedgerError(f"{outcome.decision_id} was not decided, or is settled already")
        stand_in = self._stand_in_for(entry, outcome.route.deployment)
        priced_as = stand_in if outcome.is_answer else None
        call = call_of(outcome, len(entry.recorded), entry.models.all, priced_as)
        entry.recorded.append((outcome, call))
        role = outcome.route.role
        if role != "verifier" and (outcome.status != "failed" or outcome.released):
            return DONE  # its settlement follows at once and writes it as well
        ticket = self._submit(call)
        entry.tickets[call.n] = ticket
        # A verdict is part of what is held for its draft, which ends next; behind a label comes a
        # hold for the answer.
        extra = role in ("verifier", "classifier")
        if extra or not entry.hold.charges or call.cost_pico_usd == 0:
            return ticket.written()
        if outcome.error is not None and outcome.error.kind == "rejected":
            # The model will not draft again, so that there will be no verdict either.
            drafted = model_of(outcome.route.deployment)
            entry.bounds = {i: b for i, b in entry.bounds.items() if model_of(i) != drafted}
        # The next attempt must not count on what the failed one has spent.
        next_entry = self._begin(entry.request, call.id, entry.bounds)
        next_entry.pending = self._submit(next_entry.hold)
        return next_entry.pending.written()

    def settled(self, decision: Decision) -> Awaitable[None]:
        """Record that nothing more will be spent.

        When the awaitable is done, the hold is released and all calls are on disk.
        """
        entry = self._open.get(decision.id)
        if entry is not None and entry.is_pending:
            return asyncio.shield(self._settle_after_hold(decision))
        return self._settle(decision)

    async def abandoned(self, decision_id: str) -> None:
        """Free the hold of a request that ended before its walk; its calls are kept."""
        await self._await_hold(decision_id)
        entry = self._open.get(decision_id)
        if entry is None:
            return
        if entry.decision is not None:
            await self._settle(entry.decision)
            return
        del self._open[decision_id]
        end = release_of(entry.hold, self.now_ms(), [c.cost_pico_usd for _, c in entry.recorded])
        end = structs.replace(end, calls=tuple(entry.unwritten()))
        await self._submit(entry.with_uses(end)).written()

    async def feedback(
        self, decision_id: str, metric: str, value: float, *, source: str = "user"
    ) -> None:
        """Record feedback on an answer. Raises InvalidRequest for an unknown decision."""
        opinion = await asyncio.to_thread(
            opinion_of, self.store, decision_id, metric, value, source, self.now_ms()
        )
        await self._submit(opinion).written()

    def noted(self, decision_id: str, kind: str, detail: str) -> None:
        """Note something that people should know about a request; written with its settlement."""
        entry = self._open.get(decision_id)
        if entry is not None:
            entry.notes.append((kind, detail))

    def _submit(self, entry: Entry) -> Ticket:
        return self._inbox.submit(entry, asyncio.get_running_loop())

    async def _write_hold(self, entry: OpenRequest, change: Hold | Decided) -> None:
        """Write a hold; if that fails, it is forgotten, and nothing may be spent."""
        entry.pending = self._submit(change)
        written = entry.pending.written()
        try:
            # The result must be known even if the caller has left.
            await (asyncio.shield(written) if entry.hold.charges else written)
        except RouterError:
            self._forget(entry.hold.id)
            raise
        entry.take_result()

    def _forget(self, decision_id: str) -> None:
        """Forget a refused hold; an earlier one that was granted stays."""
        entry = self._open.get(decision_id)
        if entry is None:
            return
        entry.decision = None
        if not entry.take_result():
            del self._open[decision_id]

    async def _await_hold(self, decision_id: str) -> None:
        """Wait until it is known whether the latest hold was granted."""
        entry = self._open.get(decision_id)
        if entry is None or entry.pending is None:
            return
        try:
            if entry.hold.charges:
                await entry.pending.written()
        except RouterError:
            self._forget(decision_id)
        else:
            entry.take_result()

    async def _settle_after_hold(self, decision: Decision) -> None:
        await self._await_hold(decision.id)
        await self._settle(decision)

    def _begin(
        self,
        request: Request,
        decision_id: str,
        bounds: Mapping[str, Bound],
        *,
        requests: int = 1,
    ) -> OpenRequest:
        now = self.now_ms()
        known = self._open.get(decision_id)
        if known is not None:
            known.take_result()
        at_ms = known.hold.at_ms if known else now
        charges: tuple[Charge, ...] = ()
        before = known.held() if known else ()
        most = highest_cost(bounds.values())
        if self.limits:
            spent = known.spent if known else ()
            charges = self.limits.charges(
                request, bounds, spent, at_ms, requests=requests, before=before
            )
        hold = Hold(
            id=decision_id,
            request_id=request.id,
            at_ms=at_ms,
            # More than a database can hold is as good as no bound.
            amount_pico_usd=None if most is not None and most > MOST_STORED else most,
            lease_until_ms=now + self.lease_ms,
            owner=self.owners.own,
            charges=charges,
            replaces=before,
            unsure=known is not None and known.is_unsure(self._inbox.breaks),
        )
        begun = OpenRequest(request=request, hold=hold, models=self._models)
        entry = known or self._open.setdefault(decision_id, begun)
        entry.hold, entry.bounds = hold, bounds
        entry.lease_until = time.monotonic() + self._lease_s
        entry.breaks = self._inbox.breaks
        return entry

    def _stand_in_for(self, entry: OpenRequest, deployment: str | None) -> Deployment | None:
        if self._stand_in is None or not entry.models.is_chat(deployment):
            return None
        return self._stand_in

    def _settle(self, decision: Decision) -> Awaitable[None]:
        entry = self._open.pop(decision.id, None)
        if entry is None:
            return DONE
        entry.take_result()
        end = settlement(
            decision,
            entry.recorded,
            unwritten=entry.unwritten(),
            catalog=entry.models.chat,
            extremes=entry.models.extremes,
            stand_in=self._stand_in_for(entry, decision.deployment),
            at_ms=self.now_ms(),
            decided_ms=entry.hold.at_ms,
            reusable=self._reusable(entry),
            notes=entry.notes,
        )
        return self._submit(entry.with_uses(end)).written()

    def _reusable(self, entry: OpenRequest) -> int:
        """Prompt tokens of the session's last turn that are still in another model's cache."""
        session, delivered = entry.request.session, delivered_call(entry.recorded)
        if session is None or delivered is None:
            return 0
        answer, _ = delivered
        where, tokens = answer.route.deployment, answer.usage.total_input
        return self._sessions.record_turn(session, entry.hold.at_ms, where, tokens)

    def _upkeep(self, opening: bool) -> Sequence[Entry]:  # noqa: FBT001 -- the writer's callback
        """Entries to write, or rows to remove, that no caller waits for."""
        if opening and self.store.exclusive:
            self.owners.mark_opened()
        is_gone, now = self.owners.gone_check(), self.now_ms()
        found: list[Entry] = [*self._releases(is_gone), *expired_replays(self.store, now, is_gone)]
        if not opening and time.monotonic() >= self._next_cleanup:
            self._next_cleanup = time.monotonic() + _CLEANUP_S
            found.append(past_balances_removal(now))
        return found

    def _releases(self, is_gone: IsGone | None) -> Sequence[Settlement]:
        """Releases of holds that no process will settle."""
        now, clock, found = self.now_ms(), time.monotonic(), []
        leases, self._guest_leases = self._guest_leases, {}
        for hold, charges in orphaned_holds(self.store, now, is_gone):
            own = self._open.get(hold.id)
            until = own.lease_until if own is not None else 0.0
            if hold.owner in self.owners.guests:
                # Only the other process knows when its lease began.
                until = self._guest_leases[hold.id] = leases.get(hold.id, clock + self._lease_s)
            if until > clock:
                continue  # the wall clock was set, the lease has not passed
            found.append(release_of_stored(self.store, hold, now, charges))
        return found

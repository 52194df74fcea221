"""Carries out a decision: the asynchronous driver of the plan walk.

Invariant: every call that was begun is recorded, and the plan is settled, however the walk ends.
This module chooses nothing: the next attempt comes from the walk.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Generator, Sequence
from contextlib import aclosing

from msgspec import Struct, field, structs

from turnout.catalog import Catalog
from turnout.core import (
    Bound,
    BudgetExceeded,
    Chunk,
    Decision,
    Fault,
    Outcome,
    Request,
    Scan,
)
from turnout.decision import Attempt, attempts, input_tokens, is_pinned
from turnout.ledger import DONE
from turnout.runtime.call import Call
from turnout.runtime.ceiling import bounds
from turnout.runtime.draining import DrainingCall
from turnout.runtime.means import Means
from turnout.runtime.prefix import Prefix
from turnout.runtime.receipt import total
from turnout.runtime.verify import as_asked, draft_of

Plan = Generator[Attempt, Outcome, tuple[Outcome, ...]]


class Walk(Struct, kw_only=True):
    """One decision being carried out; ``outcomes`` grows with each call, ``call`` is the latest.

    ``prefix`` are the prompt's beginnings where they were made, ``scans`` what the answer's scanner
    read, ``stopped`` why it stopped the answer, ``unfit`` the model that a budget had no room for,
    ``closed`` the deployments that a budget has no room for any more.
    """

    request: Request
    decision: Decision
    means: Means
    outcomes: list[Outcome] = field(default_factory=list)
    call: Call | None = None
    prefix: Prefix | None = None
    scans: tuple[Scan, ...] = ()
    stopped: str | None = None
    unfit: str | None = None
    closed: set[str] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        """Whether the answer came to an end of its own, a refusal's included."""
        if self.decision.blocked or self.stopped:
            return True
        return bool(self.outcomes) and self.outcomes[-1].status == "ok"

    @property
    def cost_pico_usd(self) -> int | None:
        """What all calls so far cost; None when one of them has no known price."""
        return total([outcome.cost_pico_usd for outcome in self.outcomes])

    @property
    def left_out(self) -> tuple[str, ...]:
        """The fields, in chat's words, that the model which answers, or was to, did not hear of."""
        call = self.call
        return tuple(sorted({*call.left_out, *call.unsaid})) if call else ()

    async def whole(self) -> Chunk | None:
        """The complete answer of the first route that gives one, else None."""
        plan, attempt = self._begin()
        try:
            while attempt is not None:
                call = await self._call(attempt)
                try:
                    answer = await self._answer(call)
                finally:
                    outcome = await self._record(call)
                if answer is not None:
                    return answer
                attempt = _advance(plan, self._within_budget(outcome))
        finally:
            await self._settle()
        return None

    async def stream(self) -> AsyncGenerator[Sequence[Chunk], None]:
        """The chunks of the first route that begins to answer; the last outcome tells the end.

        Chunks that came together are given together.
        """
        plan, attempt = self._begin()
        try:
            while attempt is not None:
                call = await self._call(attempt)
                try:
                    async with aclosing(self._batches(call)) as batches:
                        async for batch in batches:
                            yield batch
                finally:
                    outcome = await self._record(call)
                attempt = _advance(plan, self._within_budget(outcome))
        finally:
            await self._settle()

    def _answer(self, call: Call) -> Awaitable[Chunk | None]:
        return self._draft(call) if call.attempt.route.role == "draft" else call.whole()

    def _batches(self, call: Call) -> AsyncGenerator[Sequence[Chunk], None]:
        return self._drafted(call) if call.attempt.route.role == "draft" else call.stream()

    def _begin(self) -> tuple[Plan, Attempt | None]:
        plan = attempts(self.decision, self.means.retries, self.closed)
        return plan, next(plan, None)

    async def _call(self, attempt: Attempt) -> Call:
        if attempt.delay_s:
            await asyncio.sleep(attempt.delay_s)
        else:
            await self.means.cohort.in_step()
        deployment = self.means.rules.catalog.deployments[attempt.route.deployment]
        answers = self.means.stand_in or deployment
        self.means.health.began(attempt.route.deployment)
        request = self.request
        if attempt.route.role == "draft" and self.means.verifier is not None:
            request = self.means.verifier.asks(request)
        kind = DrainingCall if answers.provider.drains else Call
        self.call = kind(
            decision_id=self.decision.id,
            request=request,
            attempt=attempt,
            deployment=deployment,
            answers=answers,
            backend=self.means.backends.of(answers),
            timeouts=self.means.timeouts,
            catalog=self.means.rules.catalog,
            input_tokens=input_tokens(self.decision.features, deployment),
            exact=is_pinned(self.request, self.means.rules),
        )
        return self.call

    async def _draft(self, call: Call) -> Chunk | None:
        """A draft's whole answer once it is verified."""
        answer = await call.whole()
        kept = await self._verified(call, [answer]) if answer is not None else []
        return kept[0] if kept else None

    async def _drafted(self, call: Call) -> AsyncGenerator[Sequence[Chunk], None]:
        """The chunks of a draft, held back until it is verified."""
        kept = await call.kept()
        verified = await self._verified(call, kept) if kept is not None else None
        if verified:
            yield verified

    async def _verified(self, call: Call, chunks: list[Chunk]) -> list[Chunk]:
        """The draft as it may be served, or nothing where it is rejected."""
        verifier = self.means.verifier
        if verifier is None or call.outcome is None:
            return chunks
        draft = draft_of(self.request, chunks)
        try:
            verdict = await verifier.verdict(draft, self.decision.id, self.means)
        except asyncio.CancelledError:
            call.outcome = structs.replace(call.outcome, status="cancelled")
            raise
        if verdict.call is not None:
            self.outcomes.append(verdict.call)
        if verdict.rejection is None:
            return [as_asked(self.request, chunk) for chunk in chunks]
        fault = Fault(kind="rejected", detail=f"draft rejected: {verdict.rejection}")
        call.outcome = structs.replace(call.outcome, status="failed", error=fault)
        return []

    async def _record(self, call: Call) -> Outcome:
        if call.outcome is None:
            raise RuntimeError("a call ended without an outcome")
        self.outcomes.append(call.outcome)
        if self.means.caches is not None:
            self.means.caches.answered(self.request, self.decision, call.outcome, self.prefix)
        written = self.means.ended(call.outcome)
        if written is not DONE:
            try:
                await asyncio.shield(written)  # written even when the caller leaves
            except BudgetExceeded as full:
                await self._go_round(full, call.attempt.route.ordinal)
        return call.outcome

    async def _go_round(self, full: BudgetExceeded, ordinal: int) -> None:
        """Goes on without the models whose own budgets have no room for a call after this one.

        Raises ``full`` where another budget has none.
        """
        means, decision, catalog = self.means, self.decision, self.means.rules.catalog
        most = bounds(self.request, decision, catalog, means.verifier)
        left = {r.deployment: most[r.deployment] for r in decision.routes if r.ordinal >= ordinal}
        while left:
            models = {standing.subject for standing in full.standings}
            dear = {id_ for id_, bound in left.items() if _called(id_, bound, catalog) & models}
            if not dear or any(standing.budget.per != "model" for standing in full.standings):
                raise full
            self.closed |= dear
            left = {id_: bound for id_, bound in left.items() if id_ not in dear}
            try:
                await means.recorder.held(self.request, decision.id, left)
            except BudgetExceeded as again:
                full = again
            else:
                return

    def _within_budget(self, outcome: Outcome) -> Outcome:
        """The outcome as the plan shall see it: not to be retried when the budget is spent."""
        fault = outcome.error
        if fault is None or fault.retry == "no" or outcome.released:
            return outcome
        stated = fault.retry == "rate_limit" and fault.retry_after_s is not None
        if self.means.health.may_retry(outcome.route.deployment, stated=stated):
            return outcome
        return structs.replace(outcome, error=structs.replace(fault, retry="no"))

    async def _settle(self) -> None:
        written = self.means.recorder.settled(self.decision)
        if written is not DONE:
            await asyncio.shield(written)  # written even when the caller leaves


def _called(deployment: str, most: Bound, catalog: Catalog) -> set[str]:
    """The models that are called with this deployment."""
    return {catalog.deployments[id_].configured for id_ in most.parts or (deployment,)}


def _advance(plan: Plan, outcome: Outcome) -> Attempt | None:
    try:
        return plan.send(outcome)
    except StopIteration:
        return None

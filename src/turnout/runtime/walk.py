"""Carries out a decision: the asynchronous driver of the walk through its plan.

Invariant: every call that was begun is recorded, and the request is settled, however the walk ends.
This module chooses nothing: ``decision.next_attempt`` says what to try next.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing

from msgspec import Struct, field, structs

from turnout.core import BudgetExceeded, Chunk, Decision, Fault, Outcome, Request, Scan
from turnout.decision import Attempt, input_tokens, is_pinned, next_attempt
from turnout.ledger import DONE
from turnout.runtime.admission import hold_remaining_routes
from turnout.runtime.call import Call
from turnout.runtime.draining import DrainingCall
from turnout.runtime.means import Means
from turnout.runtime.prefix import Prefix
from turnout.runtime.receipt import total, unfailed_call
from turnout.runtime.verify import draft_of, without_added_logprobs


class Walk(Struct, kw_only=True):
    """One decision being carried out; ``outcomes`` grows with each call, ``call`` is the latest.

    ``prefix`` has the hashes of the prompt's beginnings, where they are needed. ``scans`` say what
    of the answer was scanned, ``stopped`` why the scanner stopped it. ``over_budget_model`` is the
    model that was chosen first but did not fit a budget; ``closed`` are deployments whose model's
    budget has no room any more.
    """

    request: Request
    decision: Decision
    means: Means
    outcomes: list[Outcome] = field(default_factory=list)
    call: Call | None = None
    prefix: Prefix | None = None
    scans: tuple[Scan, ...] = ()
    stopped: str | None = None
    over_budget_model: str | None = None
    closed: set[str] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        """Whether the answer, or the refusal, came to its end."""
        if self.decision.blocked or self.stopped:
            return True
        return bool(self.outcomes) and self.outcomes[-1].status == "ok"

    @property
    def unfailed_call(self) -> Outcome | None:
        """The last call for an answer that did not fail before a part of it was sent, if any."""
        return unfailed_call(self.outcomes)

    @property
    def cost_pico_usd(self) -> int | None:
        """What all calls so far cost; None when the price of one is unknown."""
        return total([outcome.cost_pico_usd for outcome in self.outcomes])

    @property
    def left_out(self) -> tuple[str, ...]:
        """The request's fields that were not sent to the model of the latest call."""
        if self.call is None:
            return ()
        names = [*self.call.left_out, *self.call.lost_fields]
        return tuple(sorted(set(names))) if names else ()

    async def whole(self) -> Chunk | None:
        """The complete answer of the first route that gives one, None if none does."""
        tried: list[Outcome] = []
        try:
            while (attempt := self._next(tried)) is not None:
                await self._turn(attempt)
                call = self._call(attempt)
                try:
                    answer = await self._answer(call)
                finally:
                    await self._record(call)
                if answer is not None:
                    await self.means.cohort.end_step()
                    return answer
                tried.append(self.outcomes[-1])
        finally:
            await self.means.recorder.settled(self.decision)
        return None

    async def stream(self) -> AsyncGenerator[Sequence[Chunk], None]:
        """The chunks of the first route that begins to answer; the last outcome tells the end.

        Chunks that came together are given together.
        """
        tried: list[Outcome] = []
        try:
            while (attempt := self._next(tried)) is not None:
                await self._turn(attempt)
                call = self._call(attempt)
                try:
                    async with aclosing(self._batches(call)) as batches:
                        async for batch in batches:
                            yield batch
                finally:
                    await self._record(call)
                tried.append(self.outcomes[-1])
        finally:
            await self.means.recorder.settled(self.decision)

    def _answer(self, call: Call) -> Awaitable[Chunk | None]:
        return self._verified_answer(call) if call.attempt.route.role == "draft" else call.whole()

    def _batches(self, call: Call) -> AsyncGenerator[Sequence[Chunk], None]:
        return self._verified_batches(call) if call.attempt.route.role == "draft" else call.stream()

    def _next(self, tried: list[Outcome]) -> Attempt | None:
        """What to try next; without a retry, and ``tried`` says so, if its budget is spent."""
        closed = self.closed
        if tried:  # others may have met a rate limit since the decision
            closed = closed | self.means.health.waited_for() - {tried[-1].route.deployment}
        attempt = next_attempt(self.decision, self.means.retries, tried, closed)
        if attempt is None or not tried or attempt.route.ordinal != tried[-1].route.ordinal:
            return attempt
        fault = tried[-1].error
        if fault is None or self._may_retry(attempt.route.deployment, fault):
            return attempt
        tried[-1] = structs.replace(tried[-1], error=structs.replace(fault, retry="no"))
        return self._next(tried)

    def _may_retry(self, deployment: str, fault: Fault) -> bool:
        """Whether the retry budget allows another call, which is then taken from it."""
        stated = fault.retry == "rate_limit" and fault.retry_after_s is not None
        return self.means.health.may_retry(deployment, stated=stated)

    def _turn(self, attempt: Attempt) -> Awaitable[None]:
        """Waits, once awaited, until the attempt is due."""
        if attempt.delay_s:
            return asyncio.sleep(attempt.delay_s)
        return self.means.cohort.end_step()

    def _call(self, attempt: Attempt) -> Call:
        deployment = self.means.rules.catalog.deployments[attempt.route.deployment]
        target = self.means.stand_in or deployment
        self.means.health.call_began(attempt.route.deployment)
        request = self.request
        if attempt.route.role == "draft" and self.means.verifier is not None:
            request = self.means.verifier.draft_request(request)
        kind = DrainingCall if target.provider.drains else Call
        self.call = kind(
            decision_id=self.decision.id,
            request=request,
            attempt=attempt,
            deployment=deployment,
            target=target,
            backend=self.means.backends.of(target),
            timeouts=self.means.timeouts,
            cohort=self.means.cohort,
            catalog=self.means.rules.catalog,
            input_tokens=input_tokens(self.decision.features, deployment),
            exact=is_pinned(self.request, self.means.rules),
            unlisted=target.unlisted_field(self.decision.features) is not None,
        )
        return self.call

    async def _verified_answer(self, call: Call) -> Chunk | None:
        """A draft's whole answer once it is verified."""
        answer = await call.whole()
        kept = await self._verified_chunks(call, [answer]) if answer is not None else []
        return kept[0] if kept else None

    async def _verified_batches(self, call: Call) -> AsyncGenerator[Sequence[Chunk], None]:
        """The chunks of a draft, held back until it is verified."""
        kept = await call.all_chunks()
        verified = await self._verified_chunks(call, kept) if kept is not None else None
        if verified:
            yield verified

    async def _verified_chunks(self, call: Call, chunks: list[Chunk]) -> list[Chunk]:
        """The draft as it may be served; nothing if it is rejected."""
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
            return [without_added_logprobs(self.request, chunk) for chunk in chunks]
        fault = Fault(kind="rejected", detail=f"draft rejected: {verdict.rejection}")
        call.outcome = structs.replace(call.outcome, status="failed", error=fault)
        return []

    def _record(self, call: Call) -> Awaitable[None]:
        """Records how a call ended; once awaited that is written, even when the caller leaves."""
        if call.outcome is None:
            raise RuntimeError("a call ended without an outcome")
        self.outcomes.append(call.outcome)
        if self.means.caches is not None:
            self.means.caches.learn(self.request, self.decision, call.outcome, self.prefix)
        written = self.means.call_ended(call.outcome)
        return written if written is DONE else self._written(written, call.attempt.route.ordinal)

    async def _written(self, written: Awaitable[None], ordinal: int) -> None:
        try:
            await asyncio.shield(written)
        except BudgetExceeded as full:
            self.closed |= await hold_remaining_routes(
                self.request, self.decision, ordinal, full, self.means
            )

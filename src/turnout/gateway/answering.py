"""Answers one request, in the same way for all dialects.

Invariant: nothing is sent before the first content, except signs of life if they are configured
(see ``heartbeat``); once anything was sent, a failure ends the stream with an error event, never as
if it were complete. This module does not know providers or connections.
"""

import time
from collections.abc import Awaitable, Sequence
from contextlib import aclosing

from msgspec import Struct, structs

from turnout.core import Chunk, Delta, RouterError, Usage
from turnout.gateway.answer_headers import decision_headers, left_out_header
from turnout.gateway.dialects import About, ApiDialect, Inbound, StreamWriter
from turnout.gateway.dialects.words import in_words_of
from turnout.gateway.exchange import EVENTS, JSON, Exchange, Headers
from turnout.gateway.heartbeat import Heartbeat
from turnout.gateway.problem import Problem, problem_of
from turnout.runtime import Walk, failure, refusal_body
from turnout.runtime.receipt import total

_EVENTS: Headers = [
    EVENTS,
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]

# The headers whose value is known before any model has answered.
_EARLY_HEADERS = frozenset({b"x-turnout-decision", b"x-turnout-intent", b"x-turnout-reason"})


def answer(
    walk: Walk, dialect: ApiDialect, inbound: Inbound, out: Exchange, hold_s: float | None
) -> Awaitable[None]:
    """Carries the walk out and sends its answer, once awaited. Raises RequestError."""
    answering = _Answering(
        dialect=dialect,
        inbound=inbound,
        walk=walk,
        out=out,
        hold_s=hold_s,
        created=int(time.time()),
    )
    return answering.stream() if inbound.stream else answering.whole()


class _Answering(Struct, kw_only=True):
    dialect: ApiDialect
    inbound: Inbound
    walk: Walk
    out: Exchange
    hold_s: float | None
    heartbeat: Heartbeat | None = None
    writer: StreamWriter | None = None  # of a stream that has begun
    created: int  # in epoch seconds

    async def whole(self) -> None:
        chunk = await self.walk.whole()
        if self.walk.decision.blocked:
            chunk = self._refusal()
        if chunk is None:
            await self._send_problem()
            return
        if chunk.usage is None:
            chunk = structs.replace(chunk, usage=self._usage())
        cohort = self.walk.means.cohort
        about = self._about()
        body = self.dialect.whole(chunk, about)
        await cohort.end_step()
        headers = [JSON, *self._decision_headers(about.model, final=True)]
        await cohort.end_step()
        await self.out.whole(200, headers, body)
        await cohort.end_step()

    async def stream(self) -> None:
        early = self.dialect.writer(self._about())
        if self.hold_s is not None:
            self.heartbeat = Heartbeat(self.out, self._early_head, early.sign(), self.hold_s)
        try:
            async with aclosing(self.walk.stream()) as batches:
                async for batch in batches:
                    await self._write(batch)
            if self.walk.decision.blocked:
                await self._write((self._refusal(),))
        except RouterError as error:
            if self.out.status is not None:
                await self.out.break_off((self.writer or early).fail(problem_of(error)))
            raise
        finally:
            if self.heartbeat is not None:
                self.heartbeat.stop()
        if self.out.status is None:
            await self._send_problem()
        elif self.writer is not None and self.walk.complete:
            await self.out.end(self.writer.end(self._usage()))
        else:
            await self.out.break_off((self.writer or early).fail(self._problem()))

    async def _write(self, batch: Sequence[Chunk]) -> None:
        writer = self.writer
        if writer is None:
            writer = self.writer = await self._begin()
        events = b"".join([writer.write(chunk) for chunk in batch])
        if events:
            await self.out.piece(events)

    async def _begin(self) -> StreamWriter:
        """Sends the head, which names this attempt's model. Returns a writer for its answer."""
        if self.heartbeat is not None:
            self.heartbeat.stop()
        about = self._about()
        if self.out.status is None:  # else a sign of life has sent it
            headers = self._decision_headers(about.model, final=False)
            await self.out.begin(200, [*_EVENTS, *headers])
        return self.dialect.writer(about)

    def _early_head(self) -> Headers:
        """The head of an answer whose model is not known yet."""
        headers = decision_headers(self.walk, "", None, final=False)
        return [*_EVENTS, *(line for line in headers if line[0] in _EARLY_HEADERS)]

    def _refusal(self) -> Chunk:
        decision = self.walk.decision
        delta = Delta(text=decision.refusal, finish_reason="content_filter")
        raw = {} if self.inbound.stream else refusal_body(decision, self.created)
        return Chunk(deltas=(delta,), usage=Usage(), model="turnout", raw=raw)

    def _usage(self) -> Usage | None:
        """The usage of the answering call, counted by its provider or else by Turnout."""
        outcome = self.walk.call.outcome if self.walk.call else None
        return outcome.usage if outcome else None

    def _about(self) -> About:
        return About(
            decision=self.walk.decision,
            # The provider's name for the model that answers, else the name in the call.
            model="turnout" if self.walk.call is None else self.walk.call.served_model,
            created=self.created,
            inbound=self.inbound,
        )

    def _decision_headers(self, model: str, *, final: bool) -> Headers:
        walk = self.walk
        # When the head of a stream is sent, the last call is still in progress.
        under_way = int(not final and not walk.decision.blocked)
        cost = walk.cost_pico_usd if final else self._expected_cost()
        headers = decision_headers(walk, model, cost, final=final, under_way=under_way)
        if walk.decision.blocked or walk.stopped:
            headers.append((b"x-should-retry", b"false"))
        return headers + left_out_header(walk)

    def _expected_cost(self) -> int | None:
        """What the calls so far cost, and what the one that answers is expected to."""
        walk, call = self.walk, self.walk.call
        if call is None:
            return walk.cost_pico_usd
        if call.outcome is not None:  # as a draft has, once it is verified
            return total([walk.cost_pico_usd, call.outcome.cost_pico_usd])
        expected = walk.decision.candidate_at(call.attempt.route.deployment).cost_pico_usd
        return total([walk.cost_pico_usd, expected])

    def _problem(self) -> Problem:
        walk = self.walk
        answers = [o for o in walk.outcomes if o.is_answer]
        problem = problem_of(failure(walk.decision, walk.outcomes), answers)
        return in_words_of(self.dialect.name, problem)

    async def _send_problem(self) -> None:
        walk, problem = self.walk, self._problem()
        headers = decision_headers(walk, "none", walk.cost_pico_usd, final=True)
        body = self.dialect.error(problem, walk.request.id)
        await self.out.whole(problem.status, [JSON, *headers, *problem.headers()], body)

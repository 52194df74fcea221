"""One call to one deployment, whole or streamed, ending in an Outcome.

Invariant: a call never raises for what the other side does; its failure is a value. A streamed
call yields nothing before its first content, so that a failure before it can fall over in silence.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from time import monotonic, time
from typing import TypeVar

from turnout.catalog import Catalog, Deployment, billed
from turnout.core import Chunk, Fault, InvalidRequest, Outcome, Request, Usage
from turnout.decision import Attempt
from turnout.features import count
from turnout.providers import Timeouts, TransportError, WireResponse
from turnout.runtime.backends import Backend
from turnout.runtime.receipt import cost

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Call:
    """A call under way. ``deployment`` was chosen; ``answers`` is asked, usually the same."""

    decision_id: str
    request: Request
    attempt: Attempt
    deployment: Deployment
    answers: Deployment
    backend: Backend
    catalog: Catalog
    timeouts: Timeouts
    input_tokens: int
    outcome: Outcome | None = None
    _started: float = field(default_factory=monotonic)
    _first: float | None = None
    _usage: Usage | None = None
    _model: str | None = None
    _finish: str | None = None
    _text: list[str] = field(default_factory=list)
    _released: bool = False
    _free: bool = False  # whether the provider refused the call, or was never reached

    @property
    def served_model(self) -> str:
        """The model that the provider says it serves, else the one it was asked for."""
        return self._model or self.answers.model

    async def whole(self) -> Chunk | None:
        """The complete answer, or None with the fault in ``outcome``."""
        try:
            result = await self._bounded(self._fetch())
        except asyncio.CancelledError:
            self._end(None, cancelled=True)
            raise
        if isinstance(result, Fault):
            self._end(result)
            return None
        self._note(result)
        self._end(None)
        return result

    async def stream(self) -> AsyncGenerator[Chunk, None]:
        """The answer's chunks from the first content on; how it ended is in ``outcome``."""
        fault: Fault | None = None
        held: list[Chunk] = []
        try:
            async with aclosing(self._events()) as events:
                async for event in events:
                    if isinstance(event, Fault):
                        fault = event
                        break
                    self._note(event)
                    held.append(event)
                    if not self._released and not self._may_release(event):
                        continue
                    self._released = True
                    for chunk in held:
                        yield chunk
                    held.clear()
        except (asyncio.CancelledError, GeneratorExit):
            self._end(None, cancelled=True)
            raise
        self._end(fault)

    async def kept(self) -> list[Chunk] | None:
        """Every chunk of a streamed answer, none released; None with the fault in ``outcome``."""
        kept: list[Chunk] = []
        fault: Fault | None = None
        try:
            async with aclosing(self._events()) as events:
                async for event in events:
                    if isinstance(event, Fault):
                        fault = event
                        break
                    self._note(event)
                    kept.append(event)
        except asyncio.CancelledError:
            self._end(None, cancelled=True)
            raise
        self._end(fault)
        return None if fault else kept

    def _may_release(self, chunk: Chunk) -> bool:
        return chunk.has_content or any(d.finish_reason for d in chunk.deltas)

    async def _fetch(self) -> Chunk | Fault:
        response = await self._send(stream=False)
        try:
            body = b"".join([part async for part in response.chunks()])
        finally:
            await response.aclose(reuse=True)
        if response.status != 200:
            return self._refused(response, body)
        return self.backend.codec.decode(body)

    async def _events(self) -> AsyncGenerator[Chunk | Fault, None]:
        """Decoded events, each awaited no longer than its deadline; a Fault is the last one."""
        response = await self._opened()
        if isinstance(response, Fault):
            yield response
            return
        decoder, ended = self.backend.codec.decoder(), False
        parts = response.chunks()
        try:
            while True:
                part = await self._bounded(anext(parts, None), self._patience())
                events: Iterable[Chunk | Fault | None]
                if isinstance(part, Fault):
                    events = (part,)
                elif part is None:
                    ended, events = True, (decoder.end(),)
                else:
                    events = decoder.feed(part)
                for event in events:
                    if event is not None:
                        yield event
                ended = ended or decoder.done
                if ended or isinstance(part, Fault):
                    return
        finally:
            await response.aclose(reuse=ended)

    async def _opened(self) -> WireResponse | Fault:
        """The stream's response once its head says 200, else the fault its body tells."""
        response = await self._bounded(self._send(stream=True), self.timeouts.first_token_s)
        if isinstance(response, Fault) or response.status == 200:
            return response
        body = await self._bounded(_read(response))
        if isinstance(body, Fault):
            return body
        return self._refused(response, body)

    def _refused(self, response: WireResponse, body: bytes) -> Fault:
        self._free = True
        fault = self.backend.codec.classify_error(
            response.status, response.headers, body, now=time()
        )
        if fault.kind != "not_found":
            return fault
        hint = "; `turnout models --check` names the ids that this provider has"
        return replace(fault, detail=fault.detail + hint)

    async def _send(self, *, stream: bool) -> WireResponse:
        wire = self.backend.codec.encode(self.request, self.answers, stream=stream)
        # A whole answer comes in one piece: its first byte may take as long as all of it.
        patience = self.timeouts.first_token_s if stream else self.timeouts.total_s
        return await self.backend.transport.send(
            wire, replace(self.timeouts, first_token_s=patience)
        )

    def _patience(self) -> float:
        """Seconds until the next event is overdue."""
        if self._first is None:
            return max(0.0, self.timeouts.first_token_s - (monotonic() - self._started))
        return self.timeouts.inter_token_s

    async def _bounded(self, work: Awaitable[T], patience_s: float | None = None) -> T | Fault:
        """The work's result, or the fault of a deadline passed or an exchange broken."""
        left = self._started + self.timeouts.total_s - monotonic()
        try:
            async with asyncio.timeout(left if patience_s is None else min(left, patience_s)):
                return await work
        except TransportError as error:
            return error.fault
        except InvalidRequest as error:
            # This API cannot say what was asked; another one may.
            return Fault(kind="invalid_request", detail=str(error), blame="client")
        except TimeoutError:
            waited = monotonic() - self._started
            where = "between tokens" if self._released else "before the first token"
            return Fault(
                kind="timeout",
                detail=f"{self.answers.model} at {self.answers.provider.name} stalled {where} "
                f"({waited:.1f} s)",
                retry="transient",
            )

    def _note(self, chunk: Chunk) -> None:
        if chunk.has_content and self._first is None:
            self._first = monotonic()
        self._usage = chunk.usage or self._usage
        self._model = chunk.model or self._model
        for delta in chunk.deltas:
            self._finish = delta.finish_reason or self._finish
            self._text += [delta.text, delta.reasoning, *(t.arguments for t in delta.tool_calls)]

    def _end(self, fault: Fault | None, *, cancelled: bool = False) -> None:
        usage = self._usage or self._estimate(fault)
        self.outcome = Outcome(
            decision_id=self.decision_id,
            route=self.attempt.route,
            status="cancelled" if cancelled else "failed" if fault else "ok",
            ordinal=self.attempt.ordinal,
            usage=usage,
            cost_pico_usd=self._cost(usage),
            model=self._model or (None if fault else self.answers.model),
            finish_reason=self._finish,
            ttft_ms=None if self._first is None else (self._first - self._started) * 1e3,
            latency_ms=(monotonic() - self._started) * 1e3,
            released=self._released,
            error=_after_release(fault) if self._released else fault,
        )

    def _cost(self, usage: Usage) -> int | None:
        """At the price of the model that served it; nothing was billed where nothing was used."""
        if not usage.total_input and not usage.total_output:
            return 0
        priced = billed(self.answers, self._model, self.catalog)
        return None if priced is None else cost(priced, usage)

    def _estimate(self, fault: Fault | None) -> Usage:
        """Tokens by our own count; none for a call that the provider refused or never saw.

        An answer that did not arrive may have been produced and billed all the same.
        """
        text = "".join(self._text)
        unseen = fault is not None and fault.scope == "provider"
        if not text and (self._free or unseen):
            return Usage()
        return Usage(
            input=self.input_tokens,
            output=count([text], self.answers.card.tokenizer) if text else 0,
            estimated=True,
        )


async def _read(response: WireResponse) -> bytes:
    try:
        return b"".join([part async for part in response.chunks()])
    finally:
        await response.aclose(reuse=True)


def _after_release(fault: Fault | None) -> Fault | None:
    """Once part of an answer is out, no kind of failure may be tried again."""
    return None if fault is None else replace(fault, retry="no")

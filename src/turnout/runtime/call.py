"""One call to one deployment, whole or streamed, which ends in an Outcome.

Invariant: a call never raises for what the provider does; its failure is a value. A streamed call
yields nothing before its first content, so that after an earlier failure another route can answer
unnoticed. A setting that the model refuses is left out, unless the caller chose the model.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from functools import lru_cache
from time import monotonic, time
from typing import cast

from msgspec import Struct, field, structs

from turnout.catalog import Catalog, Deployment, billed_deployment
from turnout.core import Chunk, Fault, InvalidRequest, Outcome, Request, Usage
from turnout.core.hosted import SERVER_TOOL, SOUND, is_paid_by_call
from turnout.decision import Attempt, lowered_cap
from turnout.features import count_tokens
from turnout.providers import Timeouts, TransportError, WireRequest, WireResponse, read_all
from turnout.providers.caps import with_cap
from turnout.providers.openai_embeddings import for_each
from turnout.providers.settings import Refused, added, among, as_refused, without
from turnout.providers.spent import spent_for_s
from turnout.providers.stated_cost import stated_pico_usd
from turnout.runtime.backends import Backend
from turnout.runtime.cohort import Cohort
from turnout.runtime.offload import is_long
from turnout.runtime.receipt import cost

_LOG = logging.getLogger("turnout.runtime")


class Call(Struct, kw_only=True):
    """A call under way. ``deployment`` was chosen; ``target`` is called, usually the same one.

    ``exact`` says that the caller chose the model, so that it gets all settings as they are,
    ``unlisted`` that the request costs more than the model's listed price.
    ``outcome`` is there once the call has ended.
    """

    decision_id: str
    request: Request
    attempt: Attempt
    deployment: Deployment
    target: Deployment
    backend: Backend
    catalog: Catalog
    timeouts: Timeouts
    cohort: Cohort
    input_tokens: int
    exact: bool = False
    unlisted: bool = False
    outcome: Outcome | None = None
    _started: float = field(default_factory=monotonic)
    _first_content: float | None = None
    _latest_content: float | None = None
    _usage: Usage | None = None
    _model: str | None = None
    _finish_reason: str | None = None
    _texts: list[str] = field(default_factory=list)
    _released: bool = False
    _hosted: set[str] = field(default_factory=set)  # what ran, or was made, beside text
    _unbilled: bool = True  # whether nothing was sent yet, or the provider refused it
    _wire: WireRequest | None = None  # the latest request that was sent
    _spent_s: float | None = None  # for how long the rate limit is used up, by the answer's headers
    _stated_pico_usd: int | None = None  # what the provider says it charged

    @property
    def served_model(self) -> str:
        """The model that the provider says it serves, else the one it is asked for."""
        return self._model or self.target.model

    @property
    def left_out(self) -> Sequence[str]:
        """The settings of the request that are not sent, since the model refuses them."""
        if not any(self.backend.refused_settings):
            return ()
        names = among(self.request, self._refused_settings)
        return [name for name in names if added(self.request, name)] if self.exact else names

    @property
    def lost_fields(self) -> Sequence[str]:
        """The fields that the provider's API cannot express, by their names in chat completions."""
        return self._wire.lost_fields if self._wire else ()

    @property
    def translated(self) -> bool:
        """Whether the caller's body was translated into the provider's API."""
        return self._wire is not None and self._wire.translated

    async def whole(self) -> Chunk | None:
        """The complete answer, or None with the fault in ``outcome``."""
        answer: Chunk | None = None
        with self:
            answer = await self._fetch()
            self._note_chunks((answer,))
        await self.cohort.end_step()
        return answer

    async def stream(self) -> AsyncGenerator[Sequence[Chunk], None]:
        """The answer's chunks from the first content on; how it ended is in ``outcome``.

        Chunks that came together are given together.
        """
        held: list[Chunk] = []
        with self:
            async with aclosing(self._chunk_batches()) as batches:
                async for batch in batches:
                    held += batch
                    if self._released or _may_release(batch):
                        self._released = True
                        yield held
                        held = []

    async def all_chunks(self) -> list[Chunk] | None:
        """Every chunk of a streamed answer, none released; None with the fault in ``outcome``."""
        chunks: list[Chunk] | None = None
        with self:
            async with aclosing(self._chunk_batches()) as batches:
                chunks = [chunk async for batch in batches for chunk in batch]
        return chunks

    def __enter__(self) -> None:
        """The call is under way inside; it has ended, with its outcome, when that is left."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: object
    ) -> bool:
        """Records the outcome; only what cancels the call goes further."""
        if isinstance(error, Exception):
            self._end(self._fault_of_error(error))
            return True
        self._end(None, cancelled=error is not None)
        return False

    async def _chunk_batches(self) -> AsyncGenerator[Sequence[Chunk], None]:
        """The chunks as they come, in batches that are never empty."""
        response = await self._open_response(self.timeouts, stream=True)
        decoder, over = self.backend.codec.decoder(), False
        try:
            rest = b""
            while not over:
                part = rest or await response.read(self._token_deadline())
                part, rest = (part, b"") if self._released else _first_event(part)
                chunks, fault = _split_fault(decoder.feed(part)) if part else ((), decoder.end())
                over = decoder.done or not part
                if chunks:
                    self._note_chunks(chunks)
                    yield chunks
                if fault is not None:
                    raise TransportError(fault)
                if rest and self._released:
                    # Lets the event loop send what was released before the rest is decoded.
                    await asyncio.sleep(0)
        finally:
            await response.aclose(reuse=over)

    async def _fetch(self) -> Chunk:
        """The answer in one piece."""
        response = await self._open_response(_whole_timeouts(self.timeouts), stream=False)
        found = self.backend.codec.decode(await read_all(response))
        if isinstance(found, Chunk) and self.request.dialect == "embeddings":
            found = for_each(found, self.request)
        if isinstance(found, Fault):
            raise TransportError(found)
        return found

    async def _open_response(self, timeouts: Timeouts, *, stream: bool) -> WireResponse:
        """The response, once its status is 200. Raises TransportError."""
        while True:
            request = self._request_to_send()
            encode = self.backend.codec.encode
            if is_long(request.body_bytes):
                wire = await asyncio.to_thread(encode, request, self.target, stream=stream)
            else:
                wire = encode(request, self.target, stream=stream)
            self._wire = wire
            await self.cohort.end_step()
            self._unbilled = False
            response = await self.backend.transport.send(wire, timeouts)
            if response.status == 200:
                self._spent_s = spent_for_s(response.headers, time())
                return response
            fault = self._fault_of_response(response, await read_all(response))
            if not self._may_drop(fault.setting, request):
                raise TransportError(fault)

    @property
    def _refused_settings(self) -> set[Refused]:
        return self.backend.refused_settings[bool(self.request.tools)]

    def _request_to_send(self) -> Request:
        """The request without what the model refuses: settings, and a cap beyond its answers."""
        request, left, cap = self.request, self.left_out, self.request.max_output_tokens
        if cap and cap > (most := lowered_cap(cap, self.input_tokens, self.target.card)):
            request = with_cap(request, most)
        return without(request, left, self._refused_settings) if left else request

    def _may_drop(self, setting: str | None, request: Request) -> bool:
        """Whether the call can be repeated without this setting, as all later ones will be made."""
        if setting is None or (self.exact and not added(request, setting)):
            return False
        refused = as_refused(request, setting)
        if not among(request, {refused}):
            return False
        if refused not in self._refused_settings:
            self._refused_settings.add(refused)
            fields = {"deployment": self.target.id, "setting": setting}
            _LOG.warning("the model does not take a setting", extra={"fields": fields})
        return True

    def _fault_of_response(self, response: WireResponse, body: bytes) -> Fault:
        self._unbilled = True
        fault = self.backend.codec.classify_error(
            response.status, response.headers, body, now=time()
        )
        if fault.kind != "not_found":
            return fault
        hint = "; `turnout models --check` names the ids that this provider has"
        return structs.replace(fault, detail=fault.detail + hint)

    def _token_deadline(self) -> float:
        """When the next token is overdue, on the loop's clock; signs of life do not count."""
        limits, started = self.timeouts, self._started
        if self._latest_content is None:
            token = started + limits.first_token_s
        else:
            token = self._latest_content + limits.inter_token_s
        # The loop's clock is ``monotonic``, too.
        return min(token, started + limits.total_s)

    def _fault_of_error(self, error: Exception) -> Fault:
        """The fault of a call that was broken off, by either side."""
        if isinstance(error, TransportError):
            return error.fault
        if isinstance(error, InvalidRequest):
            # This API cannot express the request; another may. Nothing was sent.
            return Fault(
                kind="invalid_request", detail=str(error), blame="client", field=error.field
            )
        if not isinstance(error, TimeoutError):
            _LOG.error("a call failed unexpectedly", exc_info=error)
            detail = f"the request cannot be sent, or its answer not read ({type(error).__name__})"
            return Fault(kind="bad_response", detail=detail)
        waited = monotonic() - self._started
        where = "between tokens" if self._released else "before the first token"
        return Fault(
            kind="timeout",
            detail=f"{self.target.model} at {self.target.provider.name} stalled {where} "
            f"({waited:.1f} s)",
            retry="transient",
        )

    def _note_chunks(self, chunks: Sequence[Chunk]) -> None:
        now, states_cost = monotonic(), self.target.provider.states_cost
        for chunk in chunks:
            if states_cost and (stated := stated_pico_usd(chunk.raw)) is not None:
                self._stated_pico_usd = stated
            if chunk.usage:
                self._usage = chunk.usage
            if chunk.model:
                self._model = chunk.model
            for delta in chunk.deltas:
                if delta.finish_reason:
                    self._finish_reason = delta.finish_reason
                if delta.hosted:
                    self._hosted.add(delta.hosted)
                if delta.has_content:
                    self._first_content = self._first_content or now
                    self._latest_content = now
                    self._texts += (delta.text, delta.reasoning, delta.refusal)
                    if delta.tool_calls:
                        self._texts += [call.arguments for call in delta.tool_calls]

    def _end(self, fault: Fault | None, *, cancelled: bool = False) -> None:
        usage = self._usage or self._estimate(fault)
        if (self.unlisted or self._hosted) and self._is_unpriced(usage):
            usage = structs.replace(usage, unpriced=True)
        self.outcome = Outcome(
            decision_id=self.decision_id,
            route=self.attempt.route,
            status="cancelled" if cancelled else "failed" if fault else "ok",
            ordinal=self.attempt.ordinal,
            usage=usage,
            cost_pico_usd=self._cost(usage),
            model=self._model or (None if fault else self.target.model),
            finish_reason=self._finish_reason,
            ttft_ms=None
            if self._first_content is None
            else (self._first_content - self._started) * 1e3,
            latency_ms=(monotonic() - self._started) * 1e3,
            released=self._released,
            error=fault,
            began_s=self._started,
            spent_s=self._spent_s,
            stated_pico_usd=self._stated_pico_usd,
        )

    def _is_unpriced(self, usage: Usage) -> bool:
        """Whether something ran there, or was made, that costs more than the usage tells."""
        if self.unlisted and not usage.is_empty:
            return True
        if usage.estimated and SERVER_TOOL in self._hosted:
            return True
        reported = {SOUND} if usage.audio_output else set()
        return any(is_paid_by_call(kind) for kind in self._hosted - reported)

    def _cost(self, usage: Usage) -> int | None:
        """What the provider charged, else the cost at the price of the model that served the call.

        0 where nothing was used.
        """
        if self._stated_pico_usd is not None:
            return self._stated_pico_usd
        priced = billed_deployment(self.target, self._model, self.catalog)
        found = None if priced is None else cost(priced, usage)
        return 0 if found is None and usage.is_empty else found

    def _estimate(self, fault: Fault | None) -> Usage:
        """Tokens by our own count; none for a call that the provider refused or never saw.

        For other failures the prompt counts: an answer may have been made and billed unseen.
        """
        text = "".join(self._texts)
        unseen = fault is not None and (fault.scope == "provider" or fault.blame == "us")
        if not text and (self._unbilled or unseen):
            return Usage()
        return Usage(
            input=self.input_tokens,
            output=count_tokens([text], self.target.card.tokenizer) if text else 0,
            estimated=True,
        )


def _split_fault(events: Iterable[Chunk | Fault]) -> tuple[Sequence[Chunk], Fault | None]:
    """The chunks before the fault, and the fault if there is one."""
    found = list(events)
    last = found[-1] if found else None
    if isinstance(last, Fault):
        return cast("list[Chunk]", found[:-1]), last
    return cast("list[Chunk]", found), None


def _first_event(part: bytes) -> tuple[bytes, bytes]:
    """The first event in these bytes, which need not wait for the rest, and the rest."""
    end = part.find(b"\n\n") + 2
    return (part[:end], part[end:]) if end > 1 else (part, b"")


def _may_release(chunks: Sequence[Chunk]) -> bool:
    return any(chunk.has_content or any(d.finish_reason for d in chunk.deltas) for chunk in chunks)


@lru_cache(maxsize=64)
def _whole_timeouts(timeouts: Timeouts) -> Timeouts:
    """The deadlines of an answer in one piece: its first byte may take as long as the whole."""
    return structs.replace(timeouts, first_token_s=timeouts.total_s)

"""The engine that serves: reads, decides and begins answers on the caller's event loop.

Invariant: every answer goes through the same ``decide`` and the same walk, whoever asks for it;
what is held for a request is freed when it fails, or its caller leaves, before its walk begins.
This module does not know prompts that people write, threads that block, or HTTP.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from msgspec import structs

from turnout.core import Decision, Outcome, Request, RequestError, RouterError, Snapshot
from turnout.core.cooldown import Cooldown
from turnout.decision import decide, decision_id
from turnout.ledger import Recorder
from turnout.runtime.accounts import Accounts
from turnout.runtime.admission import admitted
from turnout.runtime.assemble import Assembly
from turnout.runtime.budgets import budgets_of
from turnout.runtime.edge import failure
from turnout.runtime.embedding import Embedding
from turnout.runtime.history import judged, recorded
from turnout.runtime.placing import outstanding, placed
from turnout.runtime.reading import Read, Reader
from turnout.runtime.receipt import Receipt, receipt
from turnout.runtime.screened_walk import ScreenedWalk, screening_of
from turnout.runtime.walk import Walk

_UNDECIDED = (RouterError, asyncio.CancelledError)


class Engine:
    """Decides and answers by one assembly: what the gateway drives, and a Router is made on.

    ``cohort`` counts the requests that are being served.
    """

    def __init__(self, assembly: Assembly) -> None:
        self._parts = assembly
        self._rules = assembly.means.rules
        self.cohort = assembly.means.cohort
        self._accounts = _accounts(assembly, assembly.means.recorder)
        self._reader = Reader(assembly)
        self._embedding = Embedding.of(assembly)
        screening = screening_of(assembly, self._reader.threads)
        self._walk = partial(ScreenedWalk, screening=screening) if screening else Walk

    @property
    def parts(self) -> Assembly:
        """What this engine was assembled from."""
        return self._parts

    async def begin(self, request: Request) -> Walk:
        """The walk of a decision that may go ahead; the caller takes its answer from it.

        A blocked request's walk has no calls, and its answer is the decision's refusal.
        Raises RequestError.
        """
        request = self._meant(request)
        try:
            if request.dialect == "embeddings":
                return await self._embedding.begin(request)
            read = await self._reader.read(request)
            await self.cohort.in_step()
            try:
                return await self._admit(request, read)
            except RequestError as error:
                error.calls = read.labelled
                raise
        except _UNDECIDED:
            await self._abandoned(request)
            raise

    async def decided(self, request: Request) -> tuple[Decision, tuple[Outcome, ...]]:
        """The decision on a request, with the calls that helped to decide; no model answers it.

        Raises RequestError.
        """
        request = self._meant(request)
        try:
            read = await self._reader.read(request)
            decision = self._decide(request, read)
            if read.labelled:
                recorder = self._parts.means.recorder
                await recorder.decided(request, decision)
                await recorder.settled(decision)
        except _UNDECIDED:
            await self._abandoned(request)
            raise
        return decision, read.labelled

    def decided_here(self, request: Request) -> Decision:
        """As ``decided`` by the local classifier alone, blocking; waits for no thread."""
        request = self._meant(request)
        return self._decide(request, self._reader.read_now(request))

    def prepare(self) -> None:
        """Load what the first request would otherwise wait for; no model is called.

        The classifier's second stage goes on loading beside the first answers;
        ``prepare_rest`` waits for it.
        """
        self._reader.warm(fully=False)

    def prepare_rest(self) -> None:
        """Load what only some requests need. Raises ConfigError. May run on a thread."""
        self._reader.warm(fully=True)

    async def input_tokens(self, request: Request) -> int:
        """The prompt's tokens at the model ``request`` names, else at the one that counts most.

        Raises InvalidRequest for a model that does not exist.
        """
        return await self._reader.input_tokens(request)

    @property
    def accounts(self) -> Accounts:
        """Keys and budgets in this router's ledger."""
        return self._accounts

    def callable_models(self) -> list[str]:
        """The models that could take a request now."""
        means = self._parts.means
        if means.stand_in is not None:
            return [means.stand_in.model]
        closed = self._parts.closed()
        return [d.model for d in means.rules.catalog.deployments.values() if d.id not in closed]

    async def can_record(self) -> None:
        """Writes to the ledger without changing anything. Raises LedgerError or ConfigError."""
        await self._parts.means.recorder.probed()

    async def recorded(self, ident: str, tenant: str | None) -> dict[str, Any] | None:
        """What the ledger has of a tenant's decision: itself, calls, cost, events, feedback."""
        return await recorded(self._parts.means.recorder, ident, tenant)

    async def judged(self, ident: str, said: Mapping[str, Any], tenant: str | None) -> bool:
        """Adds feedback in the ledger; whether the tenant has that decision there."""
        return await judged(self._parts.means.recorder, ident, said, tenant)

    def cooling(self) -> dict[str, bool]:
        """Each deployment with whether it takes no call now; asks nothing of anyone."""
        every = [means.health.cooling() for means in self._parts.every]
        return {name: cools for cooling in every for name, cools in cooling.items()}

    def heard(self, cooldown: Cooldown) -> None:
        """Another process has learned this of a deployment."""
        for means in self._parts.every:
            means.health.heard(cooldown)

    def tell(self, others: Callable[[Cooldown], object]) -> None:
        """Have ``others`` told of deployments that are left alone from now on; must not block."""
        for means in self._parts.every:
            means.health.tell = others

    def listen(self, listener: Callable[[Outcome], object]) -> None:
        """Have ``listener`` told of every call as it ends, whatever it was for; must not block."""
        for means in self._parts.every:
            if listener not in means.listeners:
                means.listeners.append(listener)

    def receipt(self, walk: Walk) -> Receipt:
        """The account of a walk so far."""
        means = walk.means
        return receipt(walk.decision, walk.outcomes, means.rules.catalog, means.stand_in)

    def without_key(self) -> dict[str, str]:
        """The deployments that cannot be called for want of a key, with the line that helps.

        Where the embedded model stands in, those are the embedding models alone.
        """
        lacking = {**self._parts.unavailable, **self._embedding.unavailable}
        return {name: str(why) for name, why in lacking.items()}

    def succeed(self, old: "Engine") -> bool:
        """Take over what the replaced engine knows of deployments, and its recorder.

        Returns whether there was one to take, since a file has one writer: not when the two record
        in different places.
        """
        self.catch_up(old)
        for mine, its in zip(self._parts.every, old.parts.every, strict=False):
            if mine.caches is not None and its.caches is not None:
                mine.caches.succeed(its.caches)
        if self._parts.config.ledger != old.parts.config.ledger:
            return False
        recorder = old.parts.means.recorder
        recorder.price_by(self._parts.catalog)
        if recorder.directory is not None:
            recorder.directory.configure(budgets_of(self._parts.config))
        self._parts = replace(self._parts, means=replace(self._parts.means, recorder=recorder))
        self._reader.parts = self._parts
        self._embedding = self._embedding.recorded_by(recorder)
        self._accounts = _accounts(self._parts, recorder)
        return True

    def catch_up(self, old: "Engine") -> None:
        """Know of deployments what the engine knows that serves until now."""
        for mine, its in zip(self._parts.every, old.parts.every, strict=False):
            mine.health.succeed(its.health)

    async def retire(self, *, recording: bool) -> None:
        """Close every connection; ``recording`` leaves the recorder to the successor."""
        await self._parts.means.backends.aclose()
        self._reader.close()
        if not recording:
            await asyncio.to_thread(self._parts.means.recorder.close)

    async def aclose(self) -> None:
        """Close every connection, and the recorder."""
        await self.retire(recording=False)

    def _meant(self, request: Request) -> Request:
        """The request with the name that its alias stands for, and tagged for balancing."""
        aliases = self._parts.config.aliases
        if aliases and request.model in aliases:
            request = structs.replace(request, model=aliases[request.model])
        return placed(request, self._rules)

    async def _abandoned(self, request: Request) -> None:
        """Frees what is held for a request that fails, or whose caller leaves, before its walk."""
        recorder = self._parts.means.recorder
        await asyncio.shield(recorder.abandoned(decision_id(request, self._rules)))

    def _decide(self, request: Request, read: Read) -> Decision:
        now = Snapshot(
            as_of=time.time(),
            unavailable=self._parts.closed(),
            latency_ms=self._latencies(request),
            outstanding=outstanding(self._rules.balance, self._parts.means.health),
            cached_tokens=self._cached(read),
        )
        return decide(request, read.features, read.prediction, now, self._rules)

    def _cached(self, read: Read) -> Mapping[str, int]:
        """What is known of the prompt to be in caches."""
        caches = self._parts.means.caches
        return {} if caches is None or read.prefix is None else caches.expected(read.prefix)

    def _latencies(self, request: Request) -> Mapping[str, float]:
        """What answers took, where the decision depends on it."""
        if request.constraints.max_latency_ms is None and not self._rules.reads_latency:
            return {}
        return self._parts.means.health.latencies.expected_ms()

    async def _admit(self, request: Request, read: Read) -> Walk:
        """The walk of a decision that may go ahead; whatever was spent so far is recorded."""
        recorder = self._parts.means.recorder
        chosen = self._decide(request, read)
        request, decision = await admitted(
            request, chosen, lambda narrower: self._decide(narrower, read), self._parts.means
        )
        if not decision.routes and not decision.blocked:
            await recorder.settled(decision)
            raise failure(decision, read.labelled)
        unfit = chosen.model if request.constraints.drafts else "verdicts on drafts"
        return self._walk(
            request=request,
            decision=decision,
            means=self._parts.means,
            outcomes=list(read.labelled),
            prefix=read.prefix,
            unfit=None if decision.deployment == chosen.deployment else unfit,
        )


def _accounts(parts: Assembly, recorder: Recorder) -> Accounts:
    return Accounts(recorder, parts.catalog, parts.config.aliases)

"""The engine that serves: it reads, decides and begins answers on the caller's event loop.

Invariant: every answer goes through the same ``decide`` and the same walk, whoever asks for it.
What is held for a request is freed if it fails, or its caller leaves, before its walk begins.
This module does not know blocking callers or HTTP.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from msgspec import structs

from turnout.core import Decision, Outcome, Request, Snapshot
from turnout.core.cooldown import Cooldown
from turnout.decision import decide, decision_id
from turnout.ledger import Recorder
from turnout.runtime.accounts import Accounts
from turnout.runtime.admission import admit
from turnout.runtime.assemble import Assembly
from turnout.runtime.balancing import outstanding, with_signer
from turnout.runtime.budgets import budgets_of
from turnout.runtime.edge import failure
from turnout.runtime.embedding import Embedding
from turnout.runtime.history import add_feedback, recorded_decision
from turnout.runtime.reading import Reader, ReadRequest
from turnout.runtime.receipt import Receipt, receipt
from turnout.runtime.screened_walk import ScreenedWalk, screening_of
from turnout.runtime.walk import Walk

_UNDECIDED = (Exception, asyncio.CancelledError)


class Engine:
    """Decides and answers with the parts of one configuration.

    The gateway drives it, and ``Router`` extends it. ``cohort`` counts the requests being served.
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
        """Decides on a request; the caller takes the answer from the returned walk.

        The walk of a blocked request makes no calls, and its answer is the decision's refusal.
        Raises RequestError.
        """
        request = self._resolved(request)
        try:
            if request.dialect == "embeddings":
                return await self._embedding.begin(request)
            read = await self._reader.read(request)
            await self.cohort.end_step()
            # No step ends before ``admit`` has noted the choice: others would take the same place.
            chosen = self._decide(request, read)
            request, decision = await admit(
                request, chosen, lambda narrower: self._decide(narrower, read), self._parts.means
            )
            if not decision.routes and not decision.blocked:
                await self._parts.means.recorder.settled(decision)
                raise failure(decision, read.label_calls)
        except _UNDECIDED:
            await self._release_holds(request)
            raise
        return self._walk_of(request, chosen, decision, read)

    async def decide(self, request: Request) -> tuple[Decision, tuple[Outcome, ...]]:
        """The decision on a request, with the calls made for it (for a label); no model answers.

        Raises RequestError.
        """
        request = self._resolved(request)
        try:
            read = await self._reader.read(request)
            decision = self._decide(request, read)
            if read.label_calls:
                recorder = self._parts.means.recorder
                await recorder.decided(request, decision)
                await recorder.settled(decision)
        except _UNDECIDED:
            await self._release_holds(request)
            raise
        return decision, read.label_calls

    def decide_locally(self, request: Request) -> Decision:
        """As ``decide``, by the local classifier alone; blocks, and uses no thread."""
        request = self._resolved(request)
        return self._decide(request, self._reader.read_now(request))

    def prepare_first(self) -> None:
        """Load what the first request would otherwise wait for; no model is called.

        What only some requests need, such as the classifier's second stage, is left to
        ``prepare_rest``.
        """
        self._reader.warm(fully=False)

    def prepare_rest(self) -> None:
        """Load what only some requests need. Raises ConfigError. May run on a thread."""
        self._reader.warm(fully=True)

    async def input_tokens(self, request: Request) -> int:
        """The prompt's tokens at the model that ``request`` names, else the most at any model."""
        return await self._reader.input_tokens(request)

    @property
    def accounts(self) -> Accounts:
        """The keys and budgets in the ledger."""
        return self._accounts

    def callable_models(self) -> list[str]:
        """The models that could take a request now."""
        means = self._parts.means
        if means.stand_in is not None:
            return [means.stand_in.model]
        closed = {n for n, why in self._parts.unavailable_now().items() if not why.comes_last}
        return [d.model for d in means.rules.catalog.deployments.values() if d.id not in closed]

    async def check_recorder(self) -> None:
        """Writes to the ledger without changing anything. Raises LedgerError or ConfigError."""
        await self._parts.means.recorder.check_writable()

    async def recorded_decision(self, ident: str, tenant: str | None) -> dict[str, Any] | None:
        """What the ledger has on a tenant's decision: its calls, cost, events and feedback."""
        return await recorded_decision(self._parts.means.recorder, ident, tenant)

    async def add_feedback(
        self, ident: str, feedback: Mapping[str, Any], tenant: str | None
    ) -> bool:
        """Adds feedback to the ledger; False if the tenant has no such decision there."""
        return await add_feedback(self._parts.means.recorder, ident, feedback, tenant)

    def cooling(self) -> dict[str, bool]:
        """For each deployment, whether it takes no call now."""
        every = [means.health.cooling() for means in self._parts.all_means]
        return {name: cools for cooling in every for name, cools in cooling.items()}

    def apply_cooldown(self, cooldown: Cooldown) -> None:
        """Take over what another process has learned about a deployment."""
        for means in self._parts.all_means:
            means.health.apply_cooldown(cooldown)

    def on_cooldown(self, callback: Callable[[Cooldown], object]) -> None:
        """Call ``callback``, which must not block, for each deployment that begins to cool down."""
        for means in self._parts.all_means:
            means.health.on_cooldown = callback

    def add_listener(self, listener: Callable[[Outcome], object]) -> None:
        """Call ``listener``, which must not block, with the outcome of every call."""
        for means in self._parts.all_means:
            if listener not in means.listeners:
                means.listeners.append(listener)

    def receipt(self, walk: Walk) -> Receipt:
        """The account of a walk so far."""
        means = walk.means
        return receipt(walk.decision, walk.outcomes, means.rules.catalog, means.stand_in)

    def without_key(self) -> dict[str, str]:
        """The deployments that cannot be called because a key is missing, each with what to set.

        When the embedded model stands in for all chat models, only embedding models are listed.
        """
        lacking = {**self._parts.unavailable, **self._embedding.unavailable}
        return {name: str(why) for name, why in lacking.items()}

    def take_over(self, old: "Engine") -> bool:
        """Take over what the replaced engine knows about deployments, and its recorder.

        A ledger's file has one writer, so that the recorder is kept unless the two engines record
        in different places. Returns whether it was.
        """
        self.take_over_health(old)
        for mine, others in zip(self._parts.all_means, old.parts.all_means, strict=False):
            if mine.caches is not None and others.caches is not None:
                mine.caches.take_over(others.caches)
        if self._parts.config.ledger != old.parts.config.ledger:
            return False
        recorder = old.parts.means.recorder
        recorder.use_prices(self._parts.catalog)
        if recorder.directory is not None:
            recorder.directory.configure(budgets_of(self._parts.config), self._parts.catalog)
        self._parts = replace(self._parts, means=replace(self._parts.means, recorder=recorder))
        self._reader.parts = self._parts
        self._embedding = self._embedding.with_recorder(recorder)
        self._accounts = _accounts(self._parts, recorder)
        return True

    def take_over_health(self, old: "Engine") -> None:
        """Take over what the engine that served so far knows about deployments."""
        for mine, others in zip(self._parts.all_means, old.parts.all_means, strict=False):
            mine.health.take_over(others.health)

    async def retire(self, *, recording: bool) -> None:
        """Close every connection; ``recording`` leaves the recorder to the successor."""
        await self._parts.means.backends.aclose()
        self._reader.close()
        if not recording:
            await asyncio.to_thread(self._parts.means.recorder.close)

    async def aclose(self) -> None:
        """Close every connection, and the recorder."""
        await self.retire(recording=False)

    def _resolved(self, request: Request) -> Request:
        """The request with the name that its alias stands for, and tagged for balancing."""
        aliases = self._parts.config.aliases
        if aliases and not aliases.keys().isdisjoint((request.model, *request.models)):
            meant = [aliases.get(name, name) for name in (request.model, *request.models)]
            request = structs.replace(request, model=meant[0], models=tuple(meant[1:]))
        return with_signer(request, self._rules)

    async def _release_holds(self, request: Request) -> None:
        """Frees what is held for a request that fails, or is given up, before its walk begins."""
        recorder = self._parts.means.recorder
        await asyncio.shield(recorder.abandoned(decision_id(request, self._rules)))

    def _decide(self, request: Request, read: ReadRequest) -> Decision:
        now = Snapshot(
            as_of=time.time(),
            unavailable=self._parts.unavailable_now(),
            latency_ms=self._latencies(request),
            outstanding=outstanding(self._rules.balance, self._parts.means.health),
            cached_tokens=self._cached(read),
            late_judges=self._parts.means.lateness.closed("verifier"),
        )
        return decide(request, read.features, read.prediction, now, self._rules)

    def _cached(self, read: ReadRequest) -> Mapping[str, int]:
        """The prompt's tokens that each deployment's cache is expected to hold."""
        caches = self._parts.means.caches
        return {} if caches is None or read.prefix is None else caches.expected(read.prefix)

    def _latencies(self, request: Request) -> Mapping[str, float]:
        """The deployments' latencies, if the decision depends on them."""
        if request.constraints.max_latency_ms is None and not self._rules.reads_latency:
            return {}
        return self._parts.means.health.latencies.expected_ms()

    def _walk_of(
        self, request: Request, chosen: Decision, decision: Decision, read: ReadRequest
    ) -> Walk:
        """The walk of an admitted decision; ``chosen`` is what it was before budgets counted."""
        unfit = None
        if decision.deployment != chosen.deployment:
            unfit = chosen.model if request.constraints.drafts else "verdicts on drafts"
        return self._walk(
            request=request,
            decision=decision,
            means=self._parts.means,
            outcomes=list(read.label_calls),
            prefix=read.prefix,
            over_budget_model=unfit,
        )


def _accounts(parts: Assembly, recorder: Recorder) -> Accounts:
    return Accounts(recorder, parts.catalog, parts.config.aliases)

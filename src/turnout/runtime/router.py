"""The router people hold: decide, call, account; blocking and asynchronous.

Invariant: every answer goes through the same ``decide`` and the same walk.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, overload
from weakref import WeakSet

from msgspec import structs

from turnout.config import Config, load, load_file, load_mapping, load_text
from turnout.core import (
    ConfigError,
    Decision,
    Outcome,
    Request,
    RouterError,
    Snapshot,
)
from turnout.decision import decide, decision_id
from turnout.ledger import Recorder
from turnout.runtime.accounts import Accounts
from turnout.runtime.admission import admitted
from turnout.runtime.assemble import Assembly, assemble
from turnout.runtime.budgets import budgets_of
from turnout.runtime.edge import failure
from turnout.runtime.embedding import Embedding
from turnout.runtime.history import judged, recorded
from turnout.runtime.known_models import check
from turnout.runtime.loop import BackgroundLoop
from turnout.runtime.placing import outstanding, placed
from turnout.runtime.prompt import Prompt, request_of
from turnout.runtime.reading import Read, Reader
from turnout.runtime.receipt import Receipt, receipt
from turnout.runtime.reply import Reply, completion, refusal
from turnout.runtime.screened_walk import ScreenedWalk, screening_of
from turnout.runtime.stream import BlockingStream, Stream, bodies
from turnout.runtime.transcript import Transcript
from turnout.runtime.walk import Walk

UNDECIDED = (RouterError, asyncio.CancelledError)


class Router:
    """Sends each request to its model: ``route`` decides, ``chat`` and ``achat`` answer.

    A prompt is a text, a list of OpenAI messages, a whole request body or a Request.
    """

    def __init__(self, assembly: Assembly) -> None:
        self._parts = assembly
        self._rules = assembly.means.rules
        self._accounts = Accounts(assembly.means.recorder, assembly.catalog)
        self._loop = BackgroundLoop()
        self._reader = Reader(assembly)
        self._embedding = Embedding.of(assembly)
        self._screening = screening_of(assembly, self._reader.threads)
        self._streams: WeakSet[Stream] = WeakSet()
        self._worked_in: int | None = None  # a process's id

    @classmethod
    def from_config(
        cls,
        config: Config | Mapping[str, Any] | str,
        *,
        environ: Mapping[str, str] = os.environ,
        recorder: Recorder | None = None,
    ) -> Self:
        """A router from a configuration, a mapping of its keys, or YAML text.

        Raises ConfigError with line, field, value and fix.
        """
        if isinstance(config, str):
            config = load_text(config, environ)
        elif not isinstance(config, Config):
            config = load_mapping(config, environ)
        return cls(assemble(config, environ, recorder=recorder))

    @classmethod
    def from_file(cls, path: str | Path, **more: Any) -> Self:
        """A router from a ``turnout.yaml``. Raises ConfigError."""
        return cls.from_config(load_file(Path(path), more.get("environ", os.environ)), **more)

    @classmethod
    def from_env(cls, **more: Any) -> Self:
        """A router from ``$TURNOUT_CONFIG``, else ``./turnout.yaml``, else the shipped recipe."""
        return cls.from_config(load(None, more.get("environ", os.environ)), **more)

    @property
    def parts(self) -> Assembly:
        """What this router was assembled from."""
        return self._parts

    def request(self, prompt: Prompt, **more: Any) -> Request:
        """The prompt as a checked request: see ``request_of``. Raises InvalidRequest."""
        return self._meant(request_of(prompt, **more))

    def route(self, prompt: Prompt, **more: Any) -> Decision:
        """The decision for a prompt; no model is asked to answer it.

        Where the configuration has an LLM classifier, that one is asked for its label.
        Raises RequestError.
        """
        return self.labelled(prompt, **more)[0]

    def labelled(self, prompt: Prompt, **more: Any) -> tuple[Decision, tuple[Outcome, ...]]:
        """As ``route``, with the calls that helped to decide."""
        if self._parts.asked is None:
            # Nothing here waits for a thread, so that a forked process may do it.
            request = self._meant(self.request(prompt, **more))
            return self._decide(request, self._reader.read_now(request)), ()
        self._begin_work()
        return self._loop.run(self._labelled(prompt, **more))

    async def aroute(self, prompt: Prompt, **more: Any) -> Decision:
        """As ``route``."""
        self._begin_work()
        decision, _ = await self._labelled(prompt, **more)
        return decision

    async def _labelled(self, prompt: Prompt, **more: Any) -> tuple[Decision, tuple[Outcome, ...]]:
        request = self._meant(self.request(prompt, **more))
        try:
            read = await self._reader.read(request)
            decision = self._decide(request, read)
            if read.labelled:
                recorder = self._parts.means.recorder
                await recorder.decided(request, decision)
                await recorder.settled(decision)
        except UNDECIDED:
            await self._abandoned(request)
            raise
        return decision, read.labelled

    @overload
    async def achat(
        self, prompt: Prompt, *, stream: Literal[False] = False, **more: Any
    ) -> Reply: ...
    @overload
    async def achat(self, prompt: Prompt, *, stream: Literal[True], **more: Any) -> Stream: ...
    async def achat(self, prompt: Prompt, *, stream: bool = False, **more: Any) -> Reply | Stream:
        """Route the prompt and answer it; a blocked prompt is answered by the refusal.

        Raises RequestError for a request that cannot be served, ProviderError or AllRoutesFailed
        when the models fail.
        """
        self._begin_work()
        walk = await self.begin(self.request(prompt, **more))
        if stream:
            script = Transcript()
            chunks = bodies(walk, script)
            answer = Stream(
                walk.decision,
                chunks,
                lambda: self._reply(walk, script.body(walk.decision)),
                lambda: self._abandoned(walk.request),
            )
            self._streams.add(answer)
            return answer
        return await self._whole(walk)

    @overload
    def chat(self, prompt: Prompt, *, stream: Literal[False] = False, **more: Any) -> Reply: ...
    @overload
    def chat(self, prompt: Prompt, *, stream: Literal[True], **more: Any) -> BlockingStream: ...
    def chat(self, prompt: Prompt, *, stream: bool = False, **more: Any) -> Reply | BlockingStream:
        """As ``achat``, for callers without an event loop."""
        self._begin_work()
        if stream:
            return BlockingStream(
                self._loop.run(self.achat(prompt, stream=True, **more)), self._loop
            )
        reply: Reply = self._loop.run(self.achat(prompt, **more))
        return reply

    async def begin(self, request: Request) -> Walk:
        """The walk of a decision that may go ahead; the caller takes its answer from it.

        A blocked request's walk has no calls, and its answer is the decision's refusal.
        Raises RequestError.
        """
        request = self._meant(request)
        if request.dialect == "embeddings":
            return await self._embedding.begin(request)
        try:
            return await self._admit(request, await self._reader.read(request))
        except UNDECIDED:
            await self._abandoned(request)
            raise

    async def afeedback(
        self, decision_id: str, metric: str, value: float, *, source: str = "user"
    ) -> None:
        """Record how good an answer was, in the ledger: what training on one's own logs reads.

        ``source`` says who judged, as ``user``, ``judge``, ``label`` or ``test``. Raises
        InvalidRequest for a decision that the ledger does not have.
        """
        await self._parts.means.recorder.feedback(decision_id, metric, value, source=source)

    def feedback(
        self, decision_id: str, metric: str, value: float, *, source: str = "user"
    ) -> None:
        """As ``afeedback``."""
        self._begin_work()
        self._loop.run(self.afeedback(decision_id, metric, value, source=source))

    def prepare(self) -> None:
        """Load what the first request would otherwise wait for; no model is called.

        The classifier's second stage goes on loading beside the first answers;
        ``prepare_rest`` waits for it.
        """
        self._reader.warm()

    def prepare_rest(self) -> None:
        """Load what only some requests need. Raises ConfigError. May run on a thread."""
        self._parts.classifier.warm()

    def input_tokens(self, request: Request) -> int:
        """The prompt's tokens at the model ``request`` names, else at the one that counts most.

        Raises InvalidRequest for a model that does not exist.
        """
        return self._reader.input_tokens(request)

    @property
    def accounts(self) -> Accounts:
        """Keys and budgets in this router's ledger."""
        return self._accounts

    def soonest_s(self) -> float:
        """Seconds until the next model that cools down comes back."""
        return self._parts.means.health.soonest_s()

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
        every = [self._parts.means, *([self._parts.embedding] if self._parts.embedding else [])]
        return {name: cools for means in every for name, cools in means.health.cooling().items()}

    def receipt(self, walk: Walk) -> Receipt:
        """The account of a walk so far."""
        means = walk.means
        return receipt(walk.decision, walk.outcomes, means.rules.catalog, means.stand_in)

    def succeed(self, old: "Router") -> bool:
        """Take over the recorder of the router that this one replaces: a file has one writer.

        Whether there was one to take: not when the two record in different places.
        """
        if self._parts.config.ledger != old.parts.config.ledger:
            return False
        recorder = old.parts.means.recorder
        recorder.price_by(self._parts.catalog)
        if recorder.directory is not None:
            recorder.directory.configure(budgets_of(self._parts.config))
        self._parts = replace(self._parts, means=replace(self._parts.means, recorder=recorder))
        self._reader.parts = self._parts
        self._embedding = self._embedding.recorded_by(recorder)
        self._accounts = Accounts(recorder, self._parts.catalog)
        return True

    async def retire(self, *, recording: bool) -> None:
        """Close every connection; ``recording`` leaves the recorder to the successor."""
        await self._parts.means.backends.aclose()
        self._reader.close()
        if not recording:
            await asyncio.to_thread(self._parts.means.recorder.close)

    def without_key(self) -> dict[str, str]:
        """The deployments that cannot be called for want of a key, with the line that helps.

        Where the embedded model stands in, those are the embedding models alone.
        """
        embedding = self._embedding.unavailable
        return {**self._parts.unavailable, **embedding}

    def standings(self) -> dict[str, str]:
        """What each deployment's provider says of its model; one call a deployment with a key."""
        found = self.without_key()
        for deployment in self._parts.catalog.deployments.values():
            if deployment.provider.family != "embedded" and deployment.provider.has_key:
                transport = self._parts.means.backends.of(deployment).transport
                found[deployment.id] = self._loop.run(check(deployment, transport))
        return found

    async def aclose(self) -> None:
        """Stop the streams that were left early, and close every connection."""
        for stream in list(self._streams):
            await stream.aclose()
        await self.retire(recording=False)

    def close(self) -> None:
        """Close every connection and the background loop."""
        if self._is_forked:
            return  # they are the other process's
        self._loop.run(self.aclose())
        self._loop.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a router has connections and threads, which cannot be copied or sent to another "
            "process; make one there from the same configuration"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def _is_forked(self) -> bool:
        """Whether this is a copy of a router that has worked in another process."""
        return self._worked_in not in (None, os.getpid())

    def _begin_work(self) -> None:
        """Raises ConfigError in a fork of the process that this router has worked in.

        Threads are not forked, and connections would be shared: its calls would wait for ever.
        """
        if self._is_forked:
            raise ConfigError(
                "this router has worked in the process that this one was forked from; make one "
                "here, or fork before its first call"
            )
        self._worked_in = os.getpid()

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
        )
        return decide(request, read.features, read.prediction, now, self._rules)

    def _latencies(self, request: Request) -> Mapping[str, float]:
        """What answers took, where the decision depends on it."""
        if request.constraints.max_latency_ms is None and not self._rules.reads_latency:
            return {}
        return self._parts.means.health.latencies.expected_ms()

    async def _admit(self, request: Request, read: Read) -> Walk:
        """The walk of a decision that may go ahead; whatever was spent so far is recorded."""
        recorder = self._parts.means.recorder
        request, decision = await admitted(
            request,
            self._decide(request, read),
            lambda narrower: self._decide(narrower, read),
            self._parts.means,
        )
        if not decision.routes and not decision.blocked:
            await recorder.settled(decision)
            raise failure(decision, read.labelled)
        if self._screening is not None:
            return ScreenedWalk(
                request=request,
                decision=decision,
                means=self._parts.means,
                outcomes=list(read.labelled),
                screening=self._screening,
            )
        return Walk(
            request=request,
            decision=decision,
            means=self._parts.means,
            outcomes=list(read.labelled),
        )

    async def _whole(self, walk: Walk) -> Reply:
        chunk = await walk.whole()
        if walk.decision.blocked:
            return self._reply(walk, refusal(walk.decision, int(time.time())))
        if chunk is None:
            raise failure(walk.decision, walk.outcomes)
        model = walk.outcomes[-1].model or ""
        return self._reply(walk, completion(chunk, walk.decision, model, int(time.time())))

    def _reply(self, walk: Walk, body: Mapping[str, Any]) -> Reply:
        return Reply(
            body=body,
            decision=walk.decision,
            outcomes=tuple(walk.outcomes),
            receipt=self.receipt(walk),
        )

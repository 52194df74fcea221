"""The library's Router: an engine that takes prompts in any form, blocking and asynchronous.

Invariant: it decides and answers nothing by itself; the engine does.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn, Self, overload
from weakref import WeakSet

from turnout.config import Config, environ_or_own, load, load_file, load_mapping, load_text
from turnout.core import ConfigError, Decision, Outcome, Request
from turnout.ledger import Recorder
from turnout.runtime.assemble import Assembly, assemble
from turnout.runtime.edge import failure
from turnout.runtime.engine import Engine
from turnout.runtime.known_models import check_listed
from turnout.runtime.loop import BackgroundLoop
from turnout.runtime.prompt import Prompt, request_of
from turnout.runtime.reply import Reply, completion, refusal_body
from turnout.runtime.stream import BlockingStream, Stream, chunk_bodies
from turnout.runtime.transcript import Transcript
from turnout.runtime.walk import Walk

_BUDGETS_READ_S = 1.0  # as often as a gateway reads them


class Router(Engine):
    """Sends each request to its model: ``route`` decides, ``chat`` and ``achat`` answer.

    A prompt is a text, a list of OpenAI messages, a whole request body or a Request. Beside it,
    methods take ``model``, ``constraints``, ``kind`` and further fields of the body, such as
    ``max_tokens``, as ``**more``. Any number of threads and tasks may use a router at a time.
    """

    def __init__(self, assembly: Assembly) -> None:
        super().__init__(assembly)
        self._loop = BackgroundLoop()
        self._streams: WeakSet[Stream] = WeakSet()
        self._stopping: set[asyncio.Task[None]] = set()  # streams that nobody holds any more
        self._used_in_pid: int | None = None  # a process's id
        self._closed = False
        self._read_budgets_at = 0.0  # on the monotonic clock

    @classmethod
    def from_config(
        cls,
        config: Config | Mapping[str, Any] | str,
        *,
        environ: Mapping[str, str] | None = None,
        recorder: Recorder | None = None,
    ) -> Self:
        """A router from a configuration, a mapping of its keys, or YAML text.

        Raises ConfigError with line, field, value and fix.
        """
        if isinstance(config, os.PathLike) or _is_file_name(config):
            raise ConfigError(f"{config} is a file's name; give it to Router.from_file")
        if isinstance(config, str):
            config = load_text(config, environ)
        elif isinstance(config, Mapping):
            config = load_mapping(config, environ)
        elif not isinstance(config, Config):
            raise ConfigError(
                f"the configuration has the type {type(config).__name__}; give a mapping of "
                "settings, or YAML text"
            )
        return cls(assemble(config, environ_or_own(environ), recorder=recorder))

    @classmethod
    def from_file(cls, path: str | Path, **more: Any) -> Self:
        """A router from a ``turnout.yaml``; ``more`` as for ``from_config``. Raises ConfigError."""
        if not isinstance(path, str | os.PathLike):
            raise ConfigError(
                f"the configuration's file has the type {type(path).__name__}; give its path, and "
                "settings themselves to Router.from_config"
            )
        return cls.from_config(load_file(Path(path), more.get("environ")), **more)

    @classmethod
    def from_env(cls, **more: Any) -> Self:
        """A router from ``$TURNOUT_CONFIG``, else ``./turnout.yaml``, else the shipped recipe.

        ``more`` is as for ``from_config``. Raises ConfigError.
        """
        return cls.from_config(load(None, more.get("environ")), **more)

    def prepare(self) -> None:
        """Load all that prompts need, which takes about a second; else the first one waits for it.

        A program with an event loop should call this before the loop serves: while some libraries
        build their tables, no other thread can run. Raises ConfigError.
        """
        self.prepare_first()
        self.prepare_rest()

    def request(self, prompt: Prompt, **more: Any) -> Request:
        """The prompt as a checked request: see ``request_of``. Raises InvalidRequest."""
        return self._resolved(request_of(prompt, **more))

    def route(self, prompt: Prompt, **more: Any) -> Decision:
        """The decision for a prompt; no model is asked to answer it.

        If the configuration has an LLM classifier, that model is asked for a label.
        Raises RequestError.
        """
        return self.route_with_calls(prompt, **more)[0]

    def route_with_calls(self, prompt: Prompt, **more: Any) -> tuple[Decision, tuple[Outcome, ...]]:
        """As ``route``, with the calls made to decide: none without an LLM classifier."""
        request = self.request(prompt, **more)
        if self._parts.label_model is None:
            # This uses no thread, so that a forked process may do it.
            return self.decide_locally(request), ()
        self._check_usable()
        return self._loop.run(self.decide(request))

    async def decide(self, request: Request) -> tuple[Decision, tuple[Outcome, ...]]:
        """As Engine.decide."""
        if self._parts.label_model is not None:
            await self._read_budgets()
        return await super().decide(request)

    async def aroute(self, prompt: Prompt, **more: Any) -> Decision:
        """As ``route``."""
        self._check_usable()
        decision, _ = await self.decide(self.request(prompt, **more))
        return decision

    @overload
    async def achat(
        self, prompt: Prompt, *, stream: Literal[False] = False, **more: Any
    ) -> Reply: ...

    @overload
    async def achat(self, prompt: Prompt, *, stream: Literal[True], **more: Any) -> Stream: ...

    async def achat(self, prompt: Prompt, *, stream: bool = False, **more: Any) -> Reply | Stream:
        """Route the prompt and answer it; a blocked prompt is answered by the refusal.

        With ``stream`` the answer is an iterator of OpenAI's chunks, which raises what fails on the
        way and has the whole ``reply`` at its end. Raises RequestError (or BudgetExceeded, which is
        one) for a request that cannot be served, ProviderError or AllRoutesFailed when the models
        fail, LedgerError when nothing can be recorded.
        """
        self._check_usable()
        request = self.request(prompt, **more)
        await self._read_budgets()
        walk = await self.begin(request)
        if stream:
            transcript = Transcript()
            chunks = chunk_bodies(walk, transcript)
            answer = Stream(
                walk.decision,
                chunks,
                lambda: self._reply(walk, transcript.body(walk.decision)),
                lambda: self._release_holds(walk.request),
                self._stopping,
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
        self._check_usable()
        if stream:
            return BlockingStream(
                self._loop.run(self.achat(prompt, stream=True, **more)), self._loop
            )
        reply: Reply = self._loop.run(self.achat(prompt, **more))
        return reply

    async def afeedback(
        self, decision_id: str, metric: str, value: float, *, source: str = "user"
    ) -> None:
        """Record in the ledger how good an answer was; training on one's own logs reads it.

        ``metric`` is any name and ``value`` a number on its scale; ``source`` says who judged:
        ``user``, ``judge``, ``label`` or ``test``. Raises InvalidRequest for a decision that the
        ledger does not have and for unusable feedback, LedgerError if nothing can be written.
        Without a ledger nothing is kept.
        """
        await self._parts.means.recorder.feedback(decision_id, metric, value, source=source)

    def feedback(
        self, decision_id: str, metric: str, value: float, *, source: str = "user"
    ) -> None:
        """As ``afeedback``."""
        self._check_usable()
        self._loop.run(self.afeedback(decision_id, metric, value, source=source))

    def standings(self) -> dict[str, str]:
        """Whether each deployment's provider lists its model; asks providers that have a key."""
        found = self.without_key()
        for deployment in self._parts.catalog.deployments.values():
            if deployment.provider.family != "embedded" and deployment.provider.has_key:
                transport = self._parts.means.backends.of(deployment).transport
                found[deployment.id] = self._loop.run(check_listed(deployment, transport))
        return found

    async def aclose(self) -> None:
        """Stop the streams that were left early, and close every connection."""
        self._closed = True
        for stream in list(self._streams):
            await stream.aclose()
        if self._stopping:
            await asyncio.wait(self._stopping)
        await super().aclose()

    def close(self) -> None:
        """Close every connection and the background loop."""
        if self._is_forked:
            return  # connections and loop belong to the other process
        self._loop.run(self.aclose())
        self._loop.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a router has connections and threads, which cannot be copied or sent to another "
            "process; make one there from the same configuration"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    @property
    def _is_forked(self) -> bool:
        """Whether this is a copy of a router that has worked in another process."""
        return self._used_in_pid not in (None, os.getpid())

    def _check_usable(self) -> None:
        """Raises ConfigError if the router is closed, or was forked after it had worked.

        Threads are not forked and connections would be shared, so that its calls would never end.
        """
        if self._closed:
            raise ConfigError("this router is closed; make another one, or close it later")
        if self._is_forked:
            raise ConfigError(
                "this router has worked in the process that this one was forked from; make one "
                "here, or fork before its first call"
            )
        self._used_in_pid = os.getpid()

    async def _read_budgets(self) -> None:
        """Take over budgets that were set by command. Raises LedgerError or ConfigError."""
        if time.monotonic() >= self._read_budgets_at:
            await asyncio.to_thread(self._accounts.read)
            self._read_budgets_at = time.monotonic() + _BUDGETS_READ_S

    async def _whole(self, walk: Walk) -> Reply:
        chunk = await walk.whole()
        if walk.decision.blocked:
            return self._reply(walk, refusal_body(walk.decision, int(time.time())))
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
            left_out=walk.left_out,
        )


def _is_file_name(config: object) -> bool:
    """Whether a text that should be YAML is the name of a file."""
    return isinstance(config, str) and config.endswith((".yaml", ".yml")) and "\n" not in config

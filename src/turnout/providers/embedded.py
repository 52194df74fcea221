"""A transport that leads to local models in this process instead of to the network.

Invariant: one answer at a time; an answer that nobody reads any more stops at its next token.
It speaks OpenAI's wire format, so that the same codec reads it.
This module does not know how a model is run.
"""

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

from turnout.core import ConfigError, Fault
from turnout.providers.deadlines import Deadlines
from turnout.providers.llama import LlamaEngine
from turnout.providers.protocol import Timeouts, TransportError, WireRequest
from turnout.providers.weights import Weights, bundled
from turnout.providers.whole_answer import whole_answer

Item = Mapping[str, Any] | ConfigError | None


class EmbeddedTransport:
    """Local models by the name in the request; every other name is answered by the bundled one.

    ``models`` maps names to files. Nothing is loaded before the first request; answers are made
    one after the other on a thread of their own.
    """

    def __init__(self, models: Mapping[str, Weights] | None = None) -> None:
        self._models = dict(models or {})
        self._engines: dict[Weights, LlamaEngine] = {}
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="turnout-embedded")
        self._jobs: set[_Job] = set()

    async def send(self, request: WireRequest, timeouts: Timeouts) -> "EmbeddedResponse":
        """The answer's head. Raises TransportError with a classified fault."""
        body = orjson.loads(request.body)
        loop = asyncio.get_running_loop()
        job = _Job(loop, Deadlines.starting(loop.time(), timeouts))
        self._jobs.add(job)
        self._worker.submit(self._answer, job, body)
        first = await job.next(first=True)
        if first is None:
            raise TransportError(_unavailable("the embedded model gave no answer"))
        return EmbeddedResponse(job, first, stream=bool(body.get("stream")))

    async def aclose(self) -> None:
        """Stops every answer and lets go of the models."""
        for job in self._jobs:
            job.cancel()
        await asyncio.to_thread(self._worker.shutdown)
        self._engines.clear()

    def _answer(self, job: "_Job", body: Mapping[str, Any]) -> None:
        """Makes one answer, on the worker's thread."""
        try:
            if not job.is_cancelled():
                self._engine(body.get("model")).generate(body, job.put, job.is_cancelled)
        except ConfigError as error:
            job.put(error)
        finally:
            job.put(None)
            self._jobs.discard(job)

    def _engine(self, name: object) -> LlamaEngine:
        weights = self._models.get(str(name)) or bundled()
        if weights not in self._engines:
            self._engines[weights] = LlamaEngine(weights)
        return self._engines[weights]


class EmbeddedResponse:
    """An answer whose first chunk has been made."""

    def __init__(self, job: "_Job", first: Mapping[str, Any], *, stream: bool) -> None:
        error = first.get("error")
        self.status: int = int(error.get("code") or 500) if error else 200
        plain = bool(error) or not stream
        kind = "application/json" if plain else "text/event-stream"
        self.headers: Mapping[str, str] = {"content-type": kind}
        self._job = job
        self._first: Mapping[str, Any] | None = first
        self.over = False
        self._plain = plain

    async def read(self, due: float | None = None) -> bytes:
        """What has been made of the body since; empty at its end.

        Raises TransportError, or TimeoutError when nothing came by ``due`` on the loop's clock.
        """
        if self.over:
            return b""
        if self._plain:
            self.over = True
            return orjson.dumps(await self._whole(due))
        chunk = self._first or await self._job.next(first=False, due=due)
        self._first = None
        if chunk is None:
            self.over = True
            return b"data: [DONE]\n\n"
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

    async def aclose(self, *, reuse: bool = False) -> None:
        """Stops the answer; there is no connection to keep."""
        del reuse
        self._job.cancel()

    async def _whole(self, due: float | None) -> Mapping[str, Any]:
        first = self._first or {}
        if self.status != 200:
            return first
        made = [first]
        while (chunk := await self._job.next(first=False, due=due)) is not None:
            made.append(chunk)
        return whole_answer(made)


class _Job:
    """One answer on its way from the worker's thread to an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deadlines: Deadlines) -> None:
        self._loop = loop
        self._deadlines = deadlines
        self._items: asyncio.Queue[Item] = asyncio.Queue()
        self._cancelled = threading.Event()

    def put(self, item: Item) -> bool:
        """Hands over from the thread; whether the answer shall stop."""
        try:
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)
        except RuntimeError:  # the event loop is closed
            self._cancelled.set()
        return self._cancelled.is_set()

    async def next(self, *, first: bool, due: float | None = None) -> Mapping[str, Any] | None:
        """The next chunk, or None at the end. Raises TransportError; then the answer stops."""
        deadline = self._deadlines.next(self._loop.time(), first=first)
        try:
            async with asyncio.timeout_at(deadline if due is None else min(deadline, due)):
                item = await self._items.get()
        except TimeoutError as error:
            self.cancel()
            if due is not None and due < deadline:
                raise
            raise TransportError(self._deadlines.missed(deadline, first=first)) from error
        except asyncio.CancelledError:
            self.cancel()
            raise
        if isinstance(item, ConfigError):
            raise TransportError(_unavailable(str(item)))
        return item

    def cancel(self) -> None:
        """Stops the answer at its next token."""
        self._cancelled.set()

    def is_cancelled(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self._cancelled.is_set()


def _unavailable(detail: str) -> Fault:
    return Fault(kind="unavailable", detail=detail, scope="provider")

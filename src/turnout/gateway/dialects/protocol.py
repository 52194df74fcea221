"""What a client dialect does: it reads a body, and writes answers, streams and errors.

Invariant: a dialect is pure. It does not know connections or providers.
"""

from typing import Protocol

from msgspec import Struct

from turnout.core import Body, Chunk, Decision, Dialect, ToolCallDelta, Usage
from turnout.gateway.problem import Problem


class Inbound(Struct, frozen=True, kw_only=True):
    """A request after reading: ``body`` in OpenAI's chat shape, ``native`` as it came.

    ``native`` is None where the request came as chat completions. ``include_usage`` says that a
    streamed answer ends with its usage. ``follows`` is the id of the earlier answer that the
    request named; the body already contains that answer's conversation. ``models`` are further
    models that may answer.
    """

    body: Body
    model: str
    stream: bool
    native: Body | None = None
    include_usage: bool = True
    follows: str | None = None
    models: tuple[str, ...] = ()


class About(Struct, frozen=True, kw_only=True):
    """What an answer says about itself: the model that served it, and its time in epoch seconds."""

    decision: Decision
    model: str
    created: int
    inbound: Inbound

    def ident(self, prefix: str, place: int | None = None) -> str:
        """An id made from the decision's; ``place`` makes the ids of items distinct."""
        core = self.decision.id.removeprefix("d_")
        return f"{prefix}_{core}" if place is None else f"{prefix}_{core}{place:02d}"

    def call_id(self, call: ToolCallDelta) -> str:
        """A call's id; one made from the decision's if the provider gave none."""
        return call.id or self.ident("call", call.index)


class StreamWriter(Protocol):
    """Writes one streamed answer as server-sent events."""

    def write(self, chunk: Chunk) -> bytes:
        """The events for ``chunk``; may be empty."""
        ...

    def sign(self) -> bytes:
        """A sign of life for a caller who waits; it carries no content."""
        ...

    def end(self, usage: Usage | None = None) -> bytes:
        """The events that end a complete answer, with ``usage`` if no chunk brought any."""
        ...

    def fail(self, problem: Problem) -> bytes:
        """The events that end an answer that broke off."""
        ...


class ApiDialect(Protocol):
    """One API that callers speak."""

    name: Dialect

    def read(self, payload: object) -> Inbound:
        """The request in a decoded body. Raises InvalidRequest."""
        ...

    def whole(self, chunk: Chunk, about: About) -> bytes:
        """A whole answer's body."""
        ...

    def writer(self, about: About) -> StreamWriter:
        """A fresh writer for one streamed answer."""
        ...

    def error(self, problem: Problem, request_id: str) -> bytes:
        """An error answer's body."""
        ...

"""What a client dialect is: reads a body, writes answers, streams and errors.

Invariant: a dialect is pure; it knows neither connections nor providers.
"""

from typing import Protocol

from msgspec import Struct

from turnout.core import Body, Chunk, Decision, Dialect, Usage
from turnout.gateway.problem import Problem


class Inbound(Struct, frozen=True, kw_only=True):
    """A request as read: ``body`` in OpenAI's chat shape, ``native`` as it came if that differs.

    ``include_usage`` says that a streamed answer shall end with its usage; ``follows`` is the
    answer that the request named, whose conversation it brings along by now.
    """

    body: Body
    model: str
    stream: bool
    native: Body | None = None
    include_usage: bool = True
    follows: str | None = None


class About(Struct, frozen=True, kw_only=True):
    """What an answer says of itself: ``model`` is the served one, ``created`` epoch seconds."""

    decision: Decision
    model: str
    created: int
    inbound: Inbound


class StreamWriter(Protocol):
    """Writes one streamed answer as server-sent events."""

    def write(self, chunk: Chunk) -> bytes:
        """The events that ``chunk`` amounts to; may be empty."""
        ...

    def sign(self) -> bytes:
        """What tells a waiting caller that the answer is still to come; no content."""
        ...

    def end(self, usage: Usage | None = None) -> bytes:
        """The events that end a complete answer; ``usage`` counts where no event told any."""
        ...

    def fail(self, problem: Problem) -> bytes:
        """The events that end an answer which broke off."""
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

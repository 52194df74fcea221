"""The parts of a provider: a pure codec for each API family, and a transport to the network.

Invariant: a codec never does I/O; a transport never looks into a body.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from msgspec import Struct, field

from turnout.catalog import Deployment
from turnout.core import Chunk, Fault, Request


class WireRequest(Struct, frozen=True, kw_only=True):
    """The bytes to send. Headers may hold secrets, and ``repr`` shows neither them nor the body.

    ``lost_fields`` are the fields of the request that the API cannot express. ``translated`` says
    that the request was translated from another API, rather than passed on.
    """

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    lost_fields: tuple[str, ...] = ()
    translated: bool = False

    def __repr__(self) -> str:
        return f"WireRequest(method={self.method!r}, url={self.url!r})"


class Timeouts(Struct, frozen=True, kw_only=True):
    """Deadlines in seconds: to connect, to the first token, between tokens, for the whole call."""

    connect_s: float = 5.0
    first_token_s: float = 30.0
    inter_token_s: float = 20.0
    total_s: float = 600.0


class TransportError(Exception):
    """The exchange failed; ``fault`` says how."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


class WireResponse(Protocol):
    """An answer whose head has arrived; header names are lower case."""

    status: int

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""
        ...

    @property
    def over(self) -> bool:
        """Whether nothing is left; where that cannot be told, an empty read tells."""
        ...

    async def read(self, due: float | None = None) -> bytes:
        """The next bytes of the body, decompressed; empty only at its end.

        Raises TransportError, or TimeoutError if nothing came by ``due`` on the loop's clock.
        """
        ...

    async def aclose(self, *, reuse: bool = False) -> None:
        """End the exchange; close the connection unless the body was read to its end.

        With ``reuse`` the rest of the body is read first, if it is short.
        """
        ...


async def read_all(response: WireResponse) -> bytes:
    """The whole body; ends the exchange. Raises what ``read`` raises."""
    parts = []
    try:
        while part := await response.read():
            parts.append(part)
            if response.over:
                break
    finally:
        if not response.over:
            await response.aclose(reuse=True)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class Transport(Protocol):
    """Sends requests as bytes, and returns the answers' bytes."""

    async def send(self, request: WireRequest, timeouts: Timeouts) -> WireResponse:
        """The answer's head. Raises TransportError with a classified fault."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


class StreamDecoder(Protocol):
    """Turns the bytes of one streamed answer into chunks, however they are split."""

    @property
    def done(self) -> bool:
        """Whether the answer is complete; then nothing more needs to be read."""
        ...

    def feed(self, data: bytes) -> Iterable[Chunk | Fault]:
        """The events completed by ``data``; a Fault is final."""
        ...

    def end(self) -> Fault | None:
        """The fault of a stream that ended too early, else None."""
        ...


class Codec(Protocol):
    """One API family, as pure functions."""

    def encode(self, request: Request, deployment: Deployment, *, stream: bool) -> WireRequest:
        """The bytes of a call of ``deployment`` with ``request``. Raises InvalidRequest."""
        ...

    def decode(self, body: bytes) -> Chunk | Fault:
        """A whole answer, or the fault of a body that is not an answer."""
        ...

    def decoder(self) -> StreamDecoder:
        """A fresh decoder for one streamed answer."""
        ...

    def classify_error(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float | None = None
    ) -> Fault:
        """The fault that an error answer means; ``now`` (epoch seconds) reads dates in headers."""
        ...

"""Sends requests to a port and times the answers, from one process on keep-alive connections.

``python -m benchmarks.gateway.load SPEC`` prints one JSON object. SPEC is a ``Spec`` as JSON.
Closed loop: each connection asks again as soon as it is answered. Open loop: requests are due at a
fixed rate and their latency counts from the moment they were due, so that queueing shows.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_MOMENT = re.compile(rb'"content":" (\d+\.\d+)"')


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What to ask. ``rate`` (requests a second) makes it an open loop."""

    port: int
    body: str
    path: str = "/v1/chat/completions"
    headers: dict[str, str] = field(default_factory=dict)
    stream: bool = False
    connections: int = 1
    seconds: float = 2.0
    rate: float = 0.0

    def wire(self) -> bytes:
        """The request's bytes."""
        data = self.body.encode()
        lines = {"Host": "127.0.0.1", "Content-Type": "application/json", **self.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return (
            f"POST {self.path} HTTP/1.1\r\n{head}Content-Length: {len(data)}\r\n\r\n".encode()
            + data
        )


class Tally:
    """The answers so far."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.until = time.perf_counter() + spec.seconds
        self.failed = self.events = 0
        self.latencies: list[float] = []
        self.firsts: list[float] = []
        self.transits: list[float] = []

    def more(self) -> bool:
        """Whether another request is to be sent."""
        return time.perf_counter() < self.until

    def report(self, took: float) -> dict[str, Any]:
        """All figures; times in milliseconds."""
        return {
            "answers": len(self.latencies),
            "failed": self.failed,
            "events": self.events,
            "seconds": took,
            **_cuts("", self.latencies),
            **_cuts("first_", self.firsts),
            **_cuts("transit_", self.transits),
        }


def _cuts(name: str, seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    seconds.sort()
    marks: Sequence[tuple[str, int]] = (("p50", 50), ("p95", 95), ("p99", 99))
    return {f"{name}{m}_ms": seconds[len(seconds) * share // 100] * 1e3 for m, share in marks}


class Client(asyncio.Protocol):
    """One connection. ``idle`` is where an open loop finds it; None for a closed loop."""

    def __init__(self, tally: Tally, wire: bytes, idle: "list[Client] | None") -> None:
        self._tally, self._wire, self._idle = tally, wire, idle
        self._seen = bytearray()
        self._busy = self._first = False
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks the first time."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        if self._idle is None:
            self.ask(time.perf_counter())

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends; an answer that never came has failed."""
        del exc
        self._tally.failed += self._busy
        if not self.over.done():
            self.over.set_result(None)

    def ask(self, due: float) -> None:
        """Sends the request; its latency counts from ``due``."""
        self._due, self._busy, self._first = due, True, True
        self._transport.write(self._wire)

    def data_received(self, data: bytes) -> None:
        """Notes events and whole answers."""
        self._seen += data
        if self._tally.spec.stream:
            self._note_events(data)
            whole = self._seen.endswith(b"\r\n0\r\n\r\n")
        else:
            head, found, rest = bytes(self._seen).partition(b"\r\n\r\n")
            length = _LENGTH.search(head)
            if length is None:
                whole = bool(found) and rest.endswith(b"0\r\n\r\n")
            else:
                whole = len(rest) >= int(length[1])
        if whole:
            self._answered()

    def _note_events(self, data: bytes) -> None:
        tally, now = self._tally, time.perf_counter()
        if self._first and b'"content"' in data:
            self._first = False
            tally.firsts.append(now - self._due)
        tally.events += data.count(b"data: ")
        clock = time.monotonic()
        tally.transits += [clock - float(made) for made in _MOMENT.findall(data)]

    def _answered(self) -> None:
        tally, now = self._tally, time.perf_counter()
        tally.latencies.append(now - self._due)
        tally.failed += not self._seen.startswith(b"HTTP/1.1 200")
        self._seen.clear()
        self._busy = False
        if self._idle is not None:
            self._idle.append(self)
        elif tally.more():
            self.ask(now)
        else:
            self._transport.close()


async def closed(spec: Spec, tally: Tally) -> None:
    """Each connection sends requests until time is up; one that breaks is replaced."""
    loop = asyncio.get_running_loop()

    async def one() -> None:
        while True:
            _, client = await loop.create_connection(
                lambda: Client(tally, spec.wire(), None), "127.0.0.1", spec.port
            )
            await client.over
            if not tally.more():
                return

    await asyncio.gather(*(one() for _ in range(spec.connections)))


async def paced(spec: Spec, tally: Tally) -> None:
    """Requests at the rate; another connection whenever none is idle."""
    loop = asyncio.get_running_loop()
    idle: list[Client] = []
    clients: list[Client] = []
    due = time.perf_counter()
    while tally.more():
        await asyncio.sleep(due - time.perf_counter())
        if not idle:
            _, client = await loop.create_connection(
                lambda: Client(tally, spec.wire(), idle), "127.0.0.1", spec.port
            )
            clients.append(client)
            idle.append(client)
        idle.pop().ask(due)
        due += 1 / spec.rate
    while len(idle) < len(clients):
        await asyncio.sleep(0.01)
        if time.perf_counter() > tally.until + 10:
            tally.failed += len(clients) - len(idle)
            break


async def run(spec: Spec) -> dict[str, Any]:
    """The figures of one load."""
    tally = Tally(spec)
    started = time.perf_counter()
    await (paced if spec.rate else closed)(spec, tally)
    return tally.report(time.perf_counter() - started)


if __name__ == "__main__":
    import uvloop

    print(json.dumps(uvloop.run(run(Spec(**json.loads(sys.argv[1]))))))

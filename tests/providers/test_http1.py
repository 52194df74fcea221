"""The connection's framing against raw answers: what ends it, what does not, what is reused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.providers.worlds import PATIENT
from tests.waiting import soon_here
from turnout.providers import HttpTransport, TransportError, WireRequest, read_all
from turnout.providers.target import NotAnAddress, target_of

OK = b"HTTP/1.1 200 OK\r\n"


class Raw:
    """A server that gives each request of each connection the next of ``answers``.

    An answer that ends in ``b"!"`` closes its connection. ``connections`` counts them.
    """

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.serving: list[asyncio.Task[None] | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        self.writers.append(writer)
        self.serving.append(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while self.answers:
                await reader.readuntil(b"\r\n\r\n")
                answer = self.answers.pop(0)
                writer.write(answer.removesuffix(b"!"))
                await writer.drain()
                if answer.endswith(b"!"):
                    break
            else:
                await reader.read()
        writer.close()


@asynccontextmanager
async def raw(*answers: bytes) -> AsyncIterator[Raw]:
    """A raw server while the context lasts."""
    made = Raw(*answers)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for writer in made.writers:
            writer.transport.abort()
        await asyncio.gather(*(task for task in made.serving if task))


async def ask(transport: HttpTransport, server: Raw) -> bytes:
    """The body of one exchange. Raises TransportError."""
    wire = WireRequest(url=f"http://127.0.0.1:{server.port}/x?y=1", body=b"", method="GET")
    return await read_all(await transport.send(wire, PATIENT))


GOOD = OK + b"Content-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    "answer",
    [
        GOOD,
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + GOOD,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + GOOD,
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;ext=1\r\nk\r\n0\r\nTrailer: x\r\n\r\n",
    ],
)
async def test_an_answer_of_known_length_leaves_its_connection(
    transport: HttpTransport, answer: bytes
) -> None:
    """Interim answers, chunk extensions and trailers are read over."""
    async with raw(answer, GOOD) as server:
        assert [await ask(transport, server) for _ in range(2)] == [b"ok", b"ok"]
        assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"\r\nok!",
        OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok!",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok!",
        GOOD + GOOD,
        GOOD + b"junk",
    ],
)
async def test_what_ends_a_connection_costs_nobody_an_answer(
    transport: HttpTransport, answer: bytes
) -> None:
    """A body that ends with its connection, a wish to close, and bytes too many."""
    async with raw(answer, GOOD) as server:
        assert [await ask(transport, server) for _ in range(2)] == [b"ok", b"ok"]
        assert server.connections == 2


CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n"
BROKEN: list[tuple[bytes, str, str]] = [
    (b"!", "unavailable", "closed the connection without an answer"),
    (OK + b"Content-Le!", "unavailable", "closed the connection without an answer"),
    (OK + b"Content-Length: 9\r\n\r\nok!", "interrupted", "broke off"),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n!", "interrupted", "broke off"),
    (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", "bad_response", "invalid HTTP"),
    (OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_response", "invalid"),
    (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "bad_response", "invalid HTTP"),
    (
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "bad_response",
        "HTTP",
    ),
    (OK + b"X: " + b"a" * 40_000, "bad_response", "a head of more than"),
    (OK + b"X: a\r\n" * 9000 + b"\r\n", "bad_response", "a head of more than"),
    (CHUNKS + b"0\r\nx: " + b"a" * 600_000, "bad_response", "bytes of trailers"),
    (CHUNKS + b"0\r\n" + b"x: a\r\n" * 100_000, "bad_response", "bytes of trailers"),
    (CHUNKS + b"1;x=" + b"a" * 600_000, "bad_response", "beside a chunk"),
    (b"SSH-2.0-OpenSSH\r\n", "bad_response", "invalid HTTP"),
]


@pytest.mark.parametrize(("answer", "kind", "says"), BROKEN)
async def test_broken_framing_is_a_fault(
    transport: HttpTransport, answer: bytes, kind: str, says: str
) -> None:
    """No answer is cut in silence, and the connection is not used again."""
    async with raw(answer, GOOD) as server:
        with pytest.raises(TransportError) as caught:
            await ask(transport, server)
        assert caught.value.fault.kind == kind
        assert says in caught.value.fault.detail
        assert await ask(transport, server) == b"ok"
        assert server.connections == 2


async def test_an_idle_connection_that_speaks_or_ends_is_not_used(
    transport: HttpTransport,
) -> None:
    """What comes between two exchanges belongs to neither."""
    for late in (b"late", b""):
        async with raw(GOOD, GOOD) as server:
            assert await ask(transport, server) == b"ok"
            if late:
                server.writers[0].write(late)
            else:
                server.writers[0].close()
            await asyncio.sleep(0.05)
            assert await ask(transport, server) == b"ok"
            assert server.connections == 2


async def test_an_idle_connection_ends_after_its_time() -> None:
    """Nothing is kept for ever, though nobody asks again."""
    transport = HttpTransport(keepalive_s=0.1)
    async with raw(GOOD, GOOD) as server:
        await ask(transport, server)
        (pool,) = transport._pools.values()
        assert pool.standing
        assert await soon_here(lambda: not pool.standing)
        await ask(transport, server)
        assert server.connections == 2
    await transport.aclose()


async def test_a_slow_reader_stops_the_reading(transport: HttpTransport) -> None:
    """An answer that nobody reads is not piled up in memory."""
    size = 32 * 2**20
    async with raw(OK + b"Content-Length: %d\r\n\r\n" % size + bytes(size)) as server:
        wire = WireRequest(url=f"http://127.0.0.1:{server.port}/", body=b"", method="GET")
        response = await transport.send(wire, PATIENT)
        connection = response._connection
        assert connection is not None
        assert await soon_here(lambda: connection._paused)
        await asyncio.sleep(0.05)
        assert connection._waiting_bytes < 2 * 2**20
        found = 0
        while part := await response.read():
            found += len(part)
        assert found == size


async def test_the_callers_own_deadline_is_told_apart(transport: HttpTransport) -> None:
    """A read that the caller bounds raises TimeoutError, and the answer can be read on."""
    async with raw(OK + b"Content-Length: 2\r\n\r\no") as server:
        wire = WireRequest(url=f"http://127.0.0.1:{server.port}/", body=b"", method="GET")
        response = await transport.send(wire, PATIENT)
        assert await response.read() == b"o"
        with pytest.raises(TimeoutError):
            await response.read(asyncio.get_running_loop().time() + 0.05)
        await response.aclose()


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("http://h/v1/x?y=z", "h", 80, "/v1/x?y=z", "h"),
        ("https://H:443", "h", 443, "/", "h"),
        ("http://[::1]:8080/v1", "::1", 8080, "/v1", "[::1]:8080"),
        ("https://b\u00fccher.example/v1", "xn--bcher-kva.example", 443, "/v1", ""),
    ],
)
def test_urls_are_read(url: str, host: str, port: int, path: str, authority: str) -> None:
    """Host, port, path and the Host header of a URL."""
    found = target_of(url)
    assert (found.host, found.port, found.path) == (host, port, path)
    assert found.authority == (authority or host)


@pytest.mark.parametrize("url", ["http://h/a b", "http://h/\r\nX: 1", "h:80", "http://:80/"])
def test_urls_that_are_none_are_refused(url: str) -> None:
    """Nothing is sent to an address that could be read in two ways."""
    try:
        path = target_of(url).path
    except NotAnAddress:
        return
    assert "\r" not in path
    assert "\n" not in path
    assert " " not in path

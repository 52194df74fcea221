"""The server's HTTP/1.1 on raw sockets: framing, order, limits, and callers who leave."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.gateway.test_certificates import certificate
from turnout.gateway.exchange import Exchange, Malformed, TooLarge, TooLate
from turnout.gateway.http1 import Bounds
from turnout.gateway.server import HttpServer

POST = b"POST /echo HTTP/1.1\r\nHost: h\r\n"
BOUNDS = Bounds(head_bytes=4096, body_bytes=1000, receive_s=5, idle_s=0.4, stall_s=0.5)
HASTY = replace(BOUNDS, receive_s=0.4)


@dataclass
class Echo:
    """Answers a body with itself, in pieces at ``/pieces``, never at ``/never``."""

    port: int = 0
    begun: int = 0
    cancelled: int = 0
    failures: list[str] = field(default_factory=list)
    headers: Mapping[bytes, bytes] = field(default_factory=dict)

    async def __call__(self, out: Exchange) -> None:
        """One exchange."""
        self.begun += 1
        self.headers = out.headers
        try:
            if out.path == "/early":
                await out.whole(401, [], b"no")
            else:
                await out.arrived()
                await self._answer(out, out.taken_body())
        except (TooLarge, TooLate, Malformed) as failure:
            self.failures.append(type(failure).__name__)
            await out.whole(413, [], b"")
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            out.close()

    async def _answer(self, out: Exchange, body: bytes) -> None:
        if out.path == "/never":
            await asyncio.sleep(30)
        elif out.path == "/broken":
            raise ValueError("a bug")
        elif out.path == "/pieces":
            await out.begin(200, [])
            for _ in range(3):
                await out.piece(body)
            await out.end(b"end")
        elif out.path == "/slow-pieces":
            await out.begin(200, [])
            for _ in range(3):
                await out.piece(body)
                await asyncio.sleep(0.1)
            await out.end(b"end")
        elif out.path == "/flood":
            await out.begin(200, [])
            while True:
                await out.piece(bytes(65536))
        else:
            await out.whole(200, [(b"x", b"y")], out.path.encode() + b" " + body)


@asynccontextmanager
async def serving(
    bounds: Bounds = BOUNDS, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Echo, HttpServer]]:
    """A server while the context lasts."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    echo = Echo(port=listener.getsockname()[1])
    server = HttpServer(echo, bounds)
    await server.start(listener, tls)
    try:
        yield echo, server
    finally:
        await server.stop()


async def exchange_bytes(echo: Echo, *sent: bytes) -> bytes:
    """Everything that comes back until the server closes; pieces are sent one by one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
    for piece in sent:
        writer.write(piece)
        await asyncio.sleep(0.03)
    async with asyncio.timeout(10):
        found = await reader.read()
    writer.close()
    return found


CLOSE = b"Connection: close\r\n"
H2C = b"Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"


async def test_requests_are_answered_in_their_order() -> None:
    """Pipelined requests on one connection, of which the last one closes it."""
    wire = b"".join(
        POST.replace(b"echo", b"n%d" % number)
        + (CLOSE if number == 9 else b"")
        + b"Content-Length: 1\r\n\r\n%d" % number
        for number in range(10)
    )
    for pieces in ([wire], [wire[i : i + 7] for i in range(0, 140, 7)] + [wire[140:]]):
        async with serving(Bounds(receive_s=5)) as (echo, _):
            found = await exchange_bytes(echo, *pieces)
        assert [b"/n%d %d" % (n, n) in found for n in range(10)] == [True] * 10
        order = [found.index(b"/n%d %d" % (n, n)) for n in range(10)]
        assert order == sorted(order)
        assert found.count(b"HTTP/1.1 200 OK") == 10


async def test_blanks_around_a_value_are_no_part_of_it() -> None:
    """As RFC 9110 says; keys and numbers are pasted with them."""
    async with serving(Bounds(receive_s=5)) as (echo, _):
        await exchange_bytes(echo, POST + b"X-Cost:  0.01 \t\r\n" + CLOSE + b"\r\n")
    assert echo.headers[b"x-cost"] == b"0.01"


async def test_who_begins_with_http_2_is_told_so() -> None:
    """Its preface is no broken request: the client's setting is what has to change."""
    async with serving(Bounds(receive_s=5)) as (echo, _):
        found = await exchange_bytes(echo, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert found.startswith(b"HTTP/1.1 400 ")
    assert b"turn HTTP/2 off" in found


CHUNKS = POST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "status", "holds"),
    [
        (POST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", 200, b" ab"),
        (b"POST /a%20b?q=1 HTTP/1.1\r\nHost: h\r\n" + CLOSE + b"\r\n", 200, b"/a b "),
        (b"GET http://h/x?y HTTP/1.1\r\nHost: h\r\n" + CLOSE + b"\r\n", 200, b"/x "),
        (b"GET /x HTTP/1.0\r\n\r\n", 200, b"/x "),
        (b"GET /pieces HTTP/1.0\r\n\r\n", 200, b"\r\n\r\nend"),
        (POST + H2C + b"\r\n", 200, b"/echo "),
        (POST + H2C + b"Content-Length: 1\r\n\r\nz", 200, b"/echo z"),
        (POST + H2C + b"Content-Length: 0\r\n\r\n", 200, b"/echo "),
        (POST + H2C + b"Content-Length: 3\r\n\r\nabcGET /x HTTP/1.1\r\n", 200, b"/echo abc"),
        (POST + H2C + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", 200, b"/echo ab"),
        (POST + H2C + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 413, b"connection: close"),
        (POST + H2C + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, b""),
        (POST + CLOSE + b"Content-Length: 2000\r\n\r\n" + b"a" * 2000, 413, b""),
        (POST + CLOSE + b"Content-Length: 5000\r\n\r\n" + b"a" * 5000, 413, b""),
        (POST.replace(b"/echo", b"/early") + b"Content-Length: 9\r\n\r\nab", 401, b"no"),
        (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, b""),
        (POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, b""),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 413, b"connection: close"),
        (CHUNKS + b"2\r\nab\r\n0\r\nx: " + b"a" * 600_000, 413, b"connection: close"),
        (CHUNKS + b"2\r\nab\r\n0\r\n" + b"x: a\r\n" * 100_000, 413, b"connection: close"),
        (CHUNKS + b"2;x=" + b"a" * 600_000, 413, b"connection: close"),
        (CHUNKS + b"1;x=y\r\na\r\n" * 900 + b"0\r\nx: y\r\n\r\n", 200, b" aaa"),
        (POST + b"Host: other\r\n\r\n", 400, b""),
        (POST + b"X : a\r\n\r\n", 400, b""),
        (POST + b"X: a\r\n folded\r\n\r\n", 400, b""),
        (POST.replace(b"\r\n", b"\n") + b"\n", 400, b""),
        (b"POST /echo HTTP/1.1\r\n\r\n", 400, b""),
        (b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 400, b""),
        (b"\x16\x03\x01\x02\x00\x01", 400, b""),
        (POST + b"X: " + b"a" * 5000, 431, b""),
        (POST + b"X: a\r\n" * 120 + b"\r\n", 431, b""),
    ],
)
async def test_each_framing_has_its_answer(request_: bytes, status: int, holds: bytes) -> None:
    """One answer, and then the end of the connection; nothing is half understood."""
    async with serving() as (echo, _):
        found = await exchange_bytes(echo, request_)
    assert found.startswith(b"HTTP/1.1 %d " % status), found[:80]
    assert found.count(b"HTTP/1.1 ") == 1
    assert holds in found


@pytest.mark.parametrize(
    ("request_", "status", "holds"),
    [
        (POST, 408, b"did not arrive within"),
        (POST + b"Content-Length: 9\r\n\r\nab", 413, b"connection: close"),
    ],
)
async def test_what_does_not_arrive_in_time_is_answered(
    request_: bytes, status: int, holds: bytes
) -> None:
    """A head by its connection, a body by the handler that waits for it."""
    async with serving(HASTY) as (echo, _):
        found = await exchange_bytes(echo, request_)
    assert found.startswith(b"HTTP/1.1 %d " % status), found[:80]
    assert holds in found


async def test_a_body_behind_another_request_has_its_deadline() -> None:
    """It begins when its turn comes: such a request was waited for without end."""
    first = POST + b"Content-Length: 1\r\n\r\na"
    async with serving(HASTY) as (echo, _):
        found = await exchange_bytes(echo, first + POST + b"Content-Length: 9\r\n\r\nab")
    assert echo.failures == ["TooLate"]
    assert found.count(b"HTTP/1.1 200 ") == found.count(b"HTTP/1.1 413 ") == 1


async def test_a_head_that_began_behind_another_request_has_its_deadline() -> None:
    """It is no idle connection, which may stay for longer."""
    first = POST + b"Content-Length: 1\r\n\r\na"
    async with serving(replace(HASTY, idle_s=60)) as (echo, _):
        found = await exchange_bytes(echo, first + POST[:-9])
    assert found.count(b"HTTP/1.1 200 ") == found.count(b"HTTP/1.1 408 ") == 1


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "Content-Length"),
        (POST + b"Host: other\r\n\r\n", "send one Host header"),
        (POST + b"X: a\r\n" * 100 + b"\r\n", "more than 100 headers"),
        (POST + b"X: " + b"a" * 5000, "bytes; send less"),
    ],
)
async def test_what_cannot_be_read_is_said_in_both_shapes(request_: bytes, says: str) -> None:
    """The dialect of such a request is not known: OpenAI's and Anthropic's clients read it."""
    async with serving() as (echo, _):
        found = await exchange_bytes(echo, request_)
    body = json.loads(found.partition(b"\r\n\r\n")[2])
    assert body["type"] == "error"
    assert body["error"]["type"] == "invalid_request_error"
    assert says in body["error"]["message"]


async def test_a_head_request_has_no_body() -> None:
    """What follows on the connection is the next answer."""
    async with serving() as (echo, _):
        get = b"GET /b HTTP/1.1\r\nHost: h\r\n" + CLOSE + b"\r\n"
        found = await exchange_bytes(echo, b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n" + get)
    first, second = found.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert first.endswith(b"content-length: 3\r\n\r\n")
    assert second.endswith(b"/b ")


async def test_a_body_is_asked_for_where_the_caller_waits() -> None:
    """Expect: 100-continue is answered once the handler wants the body, not before a refusal."""
    async with serving() as (echo, _):
        head = POST + CLOSE + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\n"
        found = await exchange_bytes(echo, head, b"z")
        early = await exchange_bytes(echo, head.replace(b"/echo", b"/early"))
        old = await exchange_bytes(echo, head.replace(b"HTTP/1.1", b"HTTP/1.0"), b"z")
    assert found.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")
    assert early.startswith(b"HTTP/1.1 401 ")
    assert old.startswith(b"HTTP/1.1 200 ")  # HTTP/1.0 has no interim answers


async def test_a_stream_leaves_in_chunks() -> None:
    """Head and first piece leave together, and the end is framed."""
    async with serving() as (echo, _):
        wire = POST.replace(b"/echo", b"/pieces") + CLOSE + b"Content-Length: 2\r\n\r\nab"
        found = await exchange_bytes(echo, wire)
    head, _, body = found.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert body == b"2\r\nab\r\n" * 3 + b"3\r\nend\r\n0\r\n\r\n"


async def test_a_caller_who_leaves_ends_the_work() -> None:
    """Before the body, and while the answer is made."""
    async with serving(Bounds(receive_s=5)) as (echo, _):
        for path, rest in ((b"/never", b"Content-Length: 0\r\n\r\n"), (b"/echo", b"")):
            _, writer = await asyncio.open_connection("127.0.0.1", echo.port)
            tail = rest or b"Content-Length: 5\r\n\r\na"
            writer.write(POST.replace(b"/echo", path) + tail)
            await asyncio.sleep(0.05)
            writer.transport.abort()
            await asyncio.sleep(0.05)
        assert echo.begun == 2
        assert echo.cancelled == 2


async def test_a_bug_cuts_the_connection_and_nothing_else() -> None:
    """The server serves on."""
    async with serving() as (echo, _):
        wire = POST + CLOSE + b"Content-Length: 0\r\n\r\n"
        assert await exchange_bytes(echo, wire.replace(b"/echo", b"/broken")) == b""
        assert b"200 OK" in await exchange_bytes(echo, wire)


async def test_a_reader_who_stalls_is_let_go() -> None:
    """What it does not read is not piled up, and its connection ends at the deadline."""
    async with serving() as (echo, server):
        _, writer = await asyncio.open_connection("127.0.0.1", echo.port, limit=1024)
        writer.write(POST.replace(b"/echo", b"/flood") + b"Content-Length: 0\r\n\r\n")
        await asyncio.sleep(0.3)
        (connection,) = server._connections
        assert connection._transport.get_write_buffer_size() < 2**20
        async with asyncio.timeout(10):
            while server._connections:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            while not echo.cancelled:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        writer.close()


async def test_an_idle_connection_ends() -> None:
    """Between requests it may be silent for its time, and no longer."""
    async with serving() as (echo, _):
        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await exchange_bytes(echo, POST + b"Content-Length: 1\r\n\r\na")
        assert b" a" in found
        assert 0.2 < loop.time() - began < 5


async def test_draining_lets_answers_end() -> None:
    """The answer under way is given, and one to a request on its way; no connection is taken."""
    async with serving(Bounds()) as (echo, server):
        idle_reader, idle = await asyncio.open_connection("127.0.0.1", echo.port)
        idle.write(POST + b"Content-Length: 1\r\n\r\na")
        await idle_reader.readuntil(b" a")
        reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
        writer.write(POST + b"Content-Length: 2\r\n\r\nb")
        await asyncio.sleep(0.05)
        stopping = asyncio.create_task(server.stop(5))
        await asyncio.sleep(0.05)
        idle.write(POST + b"Content-Length: 1\r\n\r\nd")
        found = await idle_reader.read()
        assert b" d" in found
        assert b"connection: close" in found
        writer.write(b"c")
        found = await reader.read()
        assert b" bc" in found
        assert b"connection: close" in found
        await stopping
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", echo.port)
        idle.close()
        writer.close()


async def test_a_stream_that_ends_while_draining_leaves_its_connection_for_one_more() -> None:
    """Its head did not say that the connection ends, so that the client may use it again."""
    async with serving(Bounds()) as (echo, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
        writer.write(POST.replace(b"/echo", b"/slow-pieces") + b"Content-Length: 1\r\n\r\na")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"connection: close" not in head
        stopping = asyncio.create_task(server.stop(60))
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(POST + b"Content-Length: 1\r\n\r\nb")
        found = await reader.read()
        assert b" b" in found
        assert b"connection: close" in found
        await stopping
        writer.close()


async def test_draining_ends_connections_on_which_nothing_comes() -> None:
    """An idle one and a new one, long before the drain's deadline."""
    async with serving(Bounds()) as (echo, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
        writer.write(POST + b"Content-Length: 1\r\n\r\na")
        await reader.readuntil(b" a")
        fresh_reader, fresh = await asyncio.open_connection("127.0.0.1", echo.port)
        await asyncio.sleep(0.05)
        async with asyncio.timeout(20):
            await server.stop(60)
        assert await reader.read() == await fresh_reader.read() == b""
        writer.close()
        fresh.close()


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01\x02\x00"])
async def test_who_never_ends_the_handshake_is_let_go(tmp_path: Path, first: bytes) -> None:
    """In the time that a request has to arrive, not in the minute that the loop would give."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path, "localhost", -timedelta(days=1), 2))
    async with serving(HASTY, tls=context) as (echo, _):
        assert await asyncio.wait_for(exchange_bytes(echo, first), 20) == b""

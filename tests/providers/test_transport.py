"""The transport against a real server that errs on command."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.providers.worlds import (
    HASTY,
    PATIENT,
    call,
    deployment,
    fault_of,
    request,
    text_of,
    usage_of,
)
from tests.waiting import soon_here
from turnout.core import Fault
from turnout.providers import HttpTransport, OpenAIChatCodec, Timeouts, TransportError, WireRequest
from turnout.testing import FaultyUpstream


@pytest.mark.parametrize("stream", [False, True])
async def test_an_honest_answer_arrives_whole(
    upstream: FaultyUpstream, transport: HttpTransport, *, stream: bool
) -> None:
    """Text and usage equal what the upstream says it produced."""
    where = deployment(upstream.base_url, "acme/small")
    found = await call(transport, where, request("nonce: n-7"), stream=stream)
    usage, billed = usage_of(found), upstream.invoice[0]
    assert text_of(found).startswith("acme/small answers n-7:")
    assert usage is not None
    assert (usage.total_input, usage.total_output) == (
        billed.prompt_tokens,
        billed.completion_tokens,
    )
    assert billed.finished


def open_files() -> int:
    """File descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


STREAM_FAULTS = [
    ("f-slow2s", "timeout", "no answer within 0.3 s"),
    ("f-hang", "timeout", "no answer within 0.3 s"),
    ("f-stall@0", "timeout", "stalled for 0.2 s"),
    ("f-stall@3", "timeout", "stalled for 0.2 s"),
    ("f-reset@0", "unavailable", "Connection reset by peer"),
    ("f-reset@5", "interrupted", "broke off"),
    ("f-cut@5", "interrupted", "broke off"),
    ("f-badchunks@2", "bad_response", "two malformed events"),
    ("f-badhex@3", "bad_response", "invalid HTTP"),
    ("f-empty", "bad_response", "without any choice"),
    ("f-nodone", "interrupted", "before it was finished"),
    ("f-nofinish", "interrupted", "without a finish reason"),
    ("f-html200", "bad_response", "an HTML page"),
    ("f-error@2", "unavailable", "The server had an error"),
    ("f-gzipbomb", "bad_response", "larger than"),
    ("f-hugeevent", "bad_response", "larger than the cap"),
    ("f-hugeheader", "bad_response", "invalid HTTP"),
    ("f-redirect", "bad_response", "not followed"),
    ("f-429-ra5", "rate_limited", "HTTP 429"),
    ("f-500", "unavailable", "HTTP 500"),
    ("f-402", "no_credit", "HTTP 402"),
]


@pytest.mark.parametrize(("model", "kind", "says"), STREAM_FAULTS)
async def test_every_streamed_fault_ends_in_its_kind(
    upstream: FaultyUpstream, transport: HttpTransport, model: str, kind: str, says: str
) -> None:
    """A stream that goes wrong ends in the documented fault, in one line."""
    limits = HASTY if kind == "timeout" else PATIENT
    where = deployment(upstream.base_url, model)
    fault = fault_of(await call(transport, where, request(), stream=True, timeouts=limits))
    assert fault is not None
    assert fault.kind == kind
    assert says in fault.detail
    assert "\n" not in fault.detail


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("f-hang", "timeout"),
        ("f-reset@0", "unavailable"),
        ("f-cut@5", "unavailable"),
        ("f-empty", "bad_response"),
        ("f-html200", "bad_response"),
        ("f-halfjson", "bad_response"),
        ("f-gzipbomb", "bad_response"),
        ("f-badlength", "interrupted"),
    ],
)
async def test_every_fault_of_a_whole_answer_ends_in_its_kind(
    upstream: FaultyUpstream, transport: HttpTransport, model: str, kind: str
) -> None:
    """An answer that is not streamed and goes wrong ends in the documented fault."""
    where = deployment(upstream.base_url, model)
    limits = HASTY if kind == "timeout" else PATIENT
    fault = fault_of(await call(transport, where, request(), timeouts=limits))
    assert fault is not None
    assert fault.kind == kind


@pytest.mark.parametrize(
    "model",
    [
        "f-badchunk@2",
        "f-lateusage",
        "f-crlf",
        "f-cr-bom-comments",
        "f-bytewise-nospace",
        "f-deepseek-cached",
        "f-xai-reason",
    ],
)
async def test_odd_but_honest_streams_are_read_to_the_last_token(
    upstream: FaultyUpstream, transport: HttpTransport, model: str
) -> None:
    """Framing oddities and one malformed event cost neither text nor usage."""
    found = await call(
        transport, deployment(upstream.base_url, model), request("nonce: q"), stream=True
    )
    usage, billed = usage_of(found), upstream.invoice[0]
    assert fault_of(found) is None
    assert f"{model} answers q:" in text_of(found)
    assert usage is not None
    assert usage.total_input == billed.prompt_tokens
    assert usage.total_output == billed.completion_tokens
    assert usage.cache_read == billed.cached_tokens
    assert usage.reasoning == billed.reasoning_tokens


async def test_total_deadline_ends_a_slow_but_steady_stream(
    upstream: FaultyUpstream, transport: HttpTransport
) -> None:
    """Tokens that keep coming do not stretch the deadline of the whole call."""
    where = deployment(upstream.base_url, "f-drip50ms-tokens200")
    limits = Timeouts(connect_s=1, first_token_s=1, inter_token_s=1, total_s=0.5)
    found = await call(transport, where, request(), stream=True, timeouts=limits)
    fault = fault_of(found)
    assert fault is not None
    assert fault.kind == "timeout"
    assert "took more than 0.5 s" in fault.detail
    assert text_of(found)


async def test_an_unreachable_host_is_named(transport: HttpTransport) -> None:
    """A refused connection gives one line with host and port, and rules the provider out."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    where = deployment(f"http://127.0.0.1:{port}/v1", "acme/small")
    fault = fault_of(await call(transport, where, request()))
    assert fault is not None
    assert fault.kind == "unavailable"
    assert fault.scope == "provider"
    assert fault.detail == f"cannot reach 127.0.0.1:{port}: Connection refused"


async def test_an_unknown_host_is_named(transport: HttpTransport) -> None:
    """A name that does not resolve gives one line with the name."""
    where = deployment("http://no-such-host.invalid/v1", "acme/small")
    fault = fault_of(await call(transport, where, request()))
    assert fault is not None
    assert fault.detail.startswith("cannot resolve the host of no-such-host.invalid:80")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/v1", "http://", "http://127.0.0.1:99999/v1"])
async def test_an_unusable_base_url_is_our_mistake(transport: HttpTransport, url: str) -> None:
    """A base URL that no client can use is blamed on the configuration."""
    fault = fault_of(await call(transport, deployment(url, "m"), request()))
    assert fault is not None
    assert (fault.kind, fault.blame, fault.retry) == ("invalid_request", "us", "no")


@asynccontextmanager
async def answering(reply: bytes) -> AsyncIterator[int]:
    """A server that sends ``reply`` to whatever it is first sent, and then waits; its port."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(reply)
        with suppress(ConnectionError):
            await writer.drain()
            await reader.read()
        writer.close()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await ended.wait()


async def test_a_plain_server_behind_https_is_told(transport: HttpTransport) -> None:
    """TLS with a server that speaks none fails at once, and another try would not help."""
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        where = deployment(f"https://127.0.0.1:{port}/v1", "acme/small")
        fault = fault_of(await call(transport, where, request()))
    assert fault is not None
    assert fault.detail.startswith(f"no TLS with 127.0.0.1:{port}")
    assert (fault.retry, fault.scope) == ("no", "provider")


async def test_a_slow_handshake_ends_at_the_connect_deadline(transport: HttpTransport) -> None:
    """A host that takes the connection and never finishes TLS costs connect_s, not more."""
    limits = Timeouts(connect_s=0.2, first_token_s=30, inter_token_s=30, total_s=60)
    async with answering(b"") as port:
        where = deployment(f"https://127.0.0.1:{port}/v1", "m")
        fault = fault_of(await call(transport, where, request(), timeouts=limits))
    assert fault is not None
    assert (fault.kind, fault.scope) == ("timeout", "provider")
    assert fault.detail == f"cannot reach 127.0.0.1:{port}: no connection in time"


async def test_a_key_with_a_line_break_is_refused_not_sent(
    upstream: FaultyUpstream, transport: HttpTransport
) -> None:
    """A header that would smuggle another one never leaves, and is not repeated in the fault."""
    where = deployment(upstream.base_url, "acme/small", api_key="sk-bad\r\nX-Evil: 1")
    fault = fault_of(await call(transport, where, request()))
    assert fault is not None
    assert fault.blame == "us"
    assert "sk-bad" not in fault.detail
    assert not upstream.requests


def packed(encoding: str, body: bytes) -> bytes:
    """An answer with this Content-Encoding, after which the connection closes."""
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def test_an_unknown_encoding_is_refused(transport: HttpTransport) -> None:
    """An answer compressed in a way nobody asked for is a bad response."""
    async with answering(packed("br", b"x")) as port:
        with pytest.raises(TransportError, match="encoding br"):
            await transport.send(WireRequest(url=f"http://127.0.0.1:{port}/", body=b""), PATIENT)


async def test_who_leaves_while_the_rest_is_read_leaves_no_connection(
    transport: HttpTransport,
) -> None:
    """A provider that does not end its answer is waited for a moment; nobody else closes it."""
    part = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with asyncio.timeout(10), answering(part) as port:
        wire = WireRequest(url=f"http://127.0.0.1:{port}/", body=b"")
        response = await transport.send(wire, PATIENT)
        assert await response.read() == b"hello"
        closing = asyncio.create_task(response.aclose(reuse=True))
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing


async def test_gzip_is_understood_though_not_asked_for(transport: HttpTransport) -> None:
    """A server that compresses anyway is read, in steps."""
    async with answering(packed("gzip", gzip.compress(b"a" * 200_000))) as port:
        wire = WireRequest(url=f"http://127.0.0.1:{port}/", body=b"")
        response = await transport.send(wire, PATIENT)
        pieces = []
        while piece := await response.read():
            pieces.append(piece)
        await response.aclose()
    assert b"".join(pieces) == b"a" * 200_000
    assert max(len(piece) for piece in pieces) <= 64 * 1024


async def test_broken_gzip_is_a_bad_response(transport: HttpTransport) -> None:
    """Bytes that are no gzip end the answer with a fault."""
    async with answering(packed("gzip", b"nope")) as port:
        where = deployment(f"http://127.0.0.1:{port}/v1", "m")
        fault = fault_of(await call(transport, where, request()))
    assert fault is not None
    assert (fault.kind, fault.detail) == ("bad_response", "the compressed answer is damaged")


async def test_a_finished_exchange_leaves_its_connection_for_the_next(
    upstream: FaultyUpstream, transport: HttpTransport
) -> None:
    """Ten good calls in a row share one connection."""
    where = deployment(upstream.base_url, "acme/small")
    for number in range(10):
        await call(transport, where, request(), stream=bool(number % 2))
    assert upstream.connections == 1


async def test_after_a_connection_that_was_closed_in_between_a_new_one_is_made(
    upstream: FaultyUpstream, transport: HttpTransport
) -> None:
    """Others that are as old have ended as well, and a retry on one of them would fail again."""
    where = deployment(upstream.base_url, "acme/small")
    slow = deployment(upstream.base_url, "f-drip20ms-tokens5")
    await asyncio.gather(*(call(transport, slow, request(), stream=True) for _ in range(3)))
    assert upstream.connections == 3
    await call(transport, deployment(upstream.base_url, "f-reset@0"), request())
    assert text_of(await call(transport, where, request("nonce: next")))
    assert upstream.connections == 4


async def test_an_exchange_closed_early_destroys_its_connection(
    upstream: FaultyUpstream, transport: HttpTransport
) -> None:
    """A connection with unread bytes is never used again, and the upstream sees it go."""
    where = deployment(upstream.base_url, "f-drip20ms-tokens500")
    codec = OpenAIChatCodec()
    response = await transport.send(codec.encode(request(), where, stream=True), PATIENT)
    assert await response.read()
    await response.aclose()
    await call(transport, deployment(upstream.base_url, "acme/small"), request())
    assert upstream.connections == 2
    entry = upstream.entries("f-drip20ms-tokens500")[0]
    assert entry.peer_closed_after is not None
    assert entry.completion_tokens < 10


async def test_an_answer_that_came_unread_never_answers_the_next_request(
    upstream: FaultyUpstream, transport: HttpTransport
) -> None:
    """A whole answer that waits in memory, of which only the first bytes were wanted."""
    where = deployment(upstream.base_url, "f-drip20ms-tokens5")
    wire = OpenAIChatCodec().encode(request("nonce: first"), where, stream=True)
    response = await transport.send(wire, PATIENT)
    assert await response.read()
    await asyncio.sleep(0.3)
    await response.aclose()
    good = deployment(upstream.base_url, "acme/small")
    assert "answers next:" in text_of(await call(transport, good, request("nonce: next")))
    assert upstream.connections == 2


async def test_bytes_nobody_asked_for_never_answer_the_next_request(
    upstream: FaultyUpstream, transport: HttpTransport
) -> None:
    """A second answer smuggled behind the first costs the connection, not the next call."""
    for number in range(5):
        await call(transport, deployment(upstream.base_url, "f-extrabytes"), request())
        where = deployment(upstream.base_url, "acme/small")
        found = await call(transport, where, request(f"nonce: n{number}"))
        assert f"answers n{number}:" in text_of(found)


async def test_redirects_are_not_followed(
    upstream: FaultyUpstream, transport: HttpTransport
) -> None:
    """The key is not carried to where a redirect points."""
    await call(transport, deployment(upstream.base_url, "f-redirect"), request())
    assert [sent.path for sent in upstream.requests] == ["/v1/chat/completions"]


async def test_cancelled_calls_leak_nothing(
    upstream: FaultyUpstream, transport: HttpTransport
) -> None:
    """After 200 cancelled calls, 20 good ones succeed and no socket is left behind."""
    slow = deployment(upstream.base_url, "f-drip20ms-tokens500")
    sockets = open_files()
    for batch in range(10):
        calls = [
            asyncio.create_task(call(transport, slow, request(), stream=bool(number % 2)))
            for number in range(20)
        ]
        await asyncio.sleep(0.01 * batch)
        for task in calls:
            task.cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in ended)
    good = deployment(upstream.base_url, "acme/small")
    found = await asyncio.gather(
        *(call(transport, good, request(f"nonce: n{n}"), stream=True) for n in range(20))
    )
    for number, answer in enumerate(found):
        assert f"answers n{number}:" in text_of(answer)
    await transport.aclose()
    assert await soon_here(lambda: upstream.open_connections == 0)
    assert await soon_here(lambda: open_files() <= sockets)
    cancelled = upstream.entries(slow.model)
    assert cancelled
    assert all(entry.completion_tokens < 100 for entry in cancelled)


FAULTS_OF_MONEY = [
    "acme/small",
    "acme/large",
    "f-nousage",
    "f-lateusage",
    "f-nullusage",
    "f-negusage",
    "f-wrongusage",
    "f-deepseek-cached",
    "f-cached",
    "f-xai-reason",
    "f-reason",
    "f-reset@4",
    "f-cut@4",
    "f-badchunk@3",
    "f-badchunks@3",
    "f-error@3",
    "f-nodone",
    "f-halfjson",
    "f-empty",
    "f-429-ra5",
    "f-500",
    "f-bytewise-crlf",
]


async def test_usage_equals_the_invoice(upstream: FaultyUpstream, transport: HttpTransport) -> None:
    """Over all faults, usage is what the upstream produced to the token, or missing."""
    compared = 0
    for turn in range(4):
        ids = {f"{model}#{turn}": model for model in FAULTS_OF_MONEY}
        answers = await asyncio.gather(
            *(
                call(
                    transport,
                    deployment(upstream.base_url, model),
                    request("nonce: x " * (turn + 1), request_id=name),
                    stream=bool(turn % 2),
                )
                for name, model in ids.items()
            )
        )
        billed = {entry.request_id: entry for entry in upstream.invoice}
        for name, found in zip(ids, answers, strict=True):
            usage, entry = usage_of(found), billed[name]
            if usage is None:
                continue
            compared += 1
            assert entry.usage_sent
            assert usage.total_input == entry.prompt_tokens, name
            assert usage.cache_read == entry.cached_tokens, name
            assert usage.total_output == entry.completion_tokens, name
            assert usage.reasoning == entry.reasoning_tokens, name
    assert compared > 40


async def mixed_calls(upstream: FaultyUpstream, transport: HttpTransport, count: int) -> int:
    """``count`` calls of which 30 % are cancelled at some moment; how many were answered."""
    where = deployment(upstream.base_url, "f-drip1ms-tokens12")

    async def one(number: int) -> bool:
        asked = request(f"nonce: n{number}", request_id=f"r{number}")
        task = asyncio.create_task(call(transport, where, asked, stream=bool(number % 2)))
        if number % 10 < 3:
            await asyncio.sleep((number % 7) / 500)
            task.cancel()
        (found,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(found, BaseException):
            return False
        assert f"answers n{number}:" in text_of(found)
        return True

    answered = 0
    for start in range(0, count, 50):
        answered += sum(await asyncio.gather(*(one(n) for n in range(start, start + 50))))
    return answered


async def test_answers_never_meet(upstream: FaultyUpstream, transport: HttpTransport) -> None:
    """With 30 % of the calls cancelled, each other one gets its own answer."""
    assert await mixed_calls(upstream, transport, 500) >= 350


@pytest.mark.slow
async def test_answers_never_meet_in_a_soak(
    upstream: FaultyUpstream, transport: HttpTransport
) -> None:
    """The same for 20,000 calls, without growth in open files."""
    await mixed_calls(upstream, transport, 500)
    before = open_files()
    assert await mixed_calls(upstream, transport, 20_000) >= 14_000
    assert open_files() <= before + 110


async def test_small_writes_are_sent_at_once(
    upstream: FaultyUpstream, transport: HttpTransport
) -> None:
    """The connection has TCP_NODELAY set."""
    response = await transport.send(
        OpenAIChatCodec().encode(
            request(), deployment(upstream.base_url, "f-stall@1"), stream=True
        ),
        PATIENT,
    )
    assert response._connection is not None
    sock = response._connection._transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await response.aclose()


def test_each_event_loop_has_its_own_session() -> None:
    """One transport serves two loops, one after the other, without sharing connections."""
    transport = HttpTransport()

    async def once(base_url: str) -> list[object]:
        found = await call(transport, deployment(base_url, "acme/small"), request())
        await transport.aclose()
        return list(found)

    with FaultyUpstream() as upstream:
        for _ in range(2):
            assert not any(isinstance(x, Fault) for x in asyncio.run(once(upstream.base_url)))
        assert upstream.connections == 2

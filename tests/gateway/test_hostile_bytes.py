"""Hostile bytes against the real process: refused within the limits, and never a 5xx."""

import http.client
import json
import re
import socket
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.runtime.world import config
from turnout.testing import FaultyUpstream, Served, serving

HOST = b"Host: localhost\r\n"
CHAT = b"POST /v1/chat/completions HTTP/1.1\r\n"
GOOD = b'{"model":"auto","messages":[{"role":"user","content":"2 + 2?"}]}'
PATHS = [
    "/v1/chat/completions",
    "/v1/messages",
    "/v1/responses",
    "/v1/messages/count_tokens",
    "/v1/responses/input_tokens",
    "/v1/route",
    "/v1/feedback",
]
MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Place:
    """A served gateway and the upstream that must not be called."""

    served: Served
    upstream: FaultyUpstream

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of a POST."""
        link = http.client.HTTPConnection("127.0.0.1", self.served.port, timeout=30)
        link.request("POST", path, body, {"content-type": "application/json"})
        answer = link.getresponse()
        found = answer.status, answer.read()
        link.close()
        return found

    def raw(self, parts: Iterable[bytes]) -> bytes:
        """Everything that comes back until the gateway closes or is silent for a second."""
        with socket.create_connection(("127.0.0.1", self.served.port), 15.0) as link:
            try:
                for part in parts:
                    link.sendall(part)
            except OSError:
                pass  # it has closed already, and may have said why
            link.settimeout(1.0)
            found = b""
            try:
                while data := link.recv(65536):
                    found += data
            except OSError:
                pass
            return found


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """One process for all tests."""
    with FaultyUpstream() as upstream, serving(config(upstream)) as served:
        yield Place(served=served, upstream=upstream)


def _body_around(value: bytes) -> bytes:
    return b'{"model":"auto","messages":[{"role":"user","content":"hi"}],"x":' + value + b"}"


BODIES = {
    "depth 10,000": _body_around(b"[" * 10_000 + b"]" * 10_000),
    "depth 10,000, objects": _body_around(b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    "depth 10,000, open": b"[" * 10_000,
    "invalid UTF-8": _body_around(b'"\xff\xfe"'),
    "overlong UTF-8": _body_around(b'"\xc0\xaf"'),
    "UTF-16": GOOD.decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "NaN": _body_around(b"NaN"),
    "Infinity": _body_around(b"-Infinity"),
    "1e999": _body_around(b"1e999"),
    "5,000 digits": _body_around(b"9" * 5000),
    "a key twice": GOOD[:-1] + b',"model":"fast"}',
    "a key twice, escaped": GOOD[:-1] + b',"mod\\u0065l":"fast"}',
    "a key twice, deep": _body_around(b'{"a":{"b":1,"b":2}}'),
    "a lone surrogate": _body_around(b'"\\ud800"'),
    "a lone surrogate as a key": _body_around(b'{"\\udfff":1}'),
    "a raw control character": _body_around(b'"\x01"'),
    "100,001 keys": _body_around(b"{" + b",".join(b'"%d":1' % n for n in range(100_001)) + b"}"),
    "a comment": GOOD + b"// hi",
    "two values": GOOD + GOOD,
    "half": GOOD[:-5],
    "nothing": b"",
    "a list": b"[]",
    "a string": b'"hi"',
    "null": b"null",
    "a number": b"1",
    "no messages": b"{}",
    "messages of another type": b'{"messages":{"role":"user"},"input":7,"max_tokens":1}',
    "a model of another type": b'{"model":7,"messages":[{"role":"user","content":"hi"}]}',
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_a_4xx(place: Place, name: str, path: str) -> None:
    """With an error of the dialect, and no model is called."""
    calls = len(place.upstream.invoice)
    status, said = place.post(path, BODIES[name])
    if 200 <= status < 300:  # what the body is odd for may not concern this path
        assert name.startswith(("a model", "a list", "a number")), (name, status, said)
    assert 400 <= status < 500 or path in PATHS[4:], (status, said)
    assert status < 500
    assert status < 400 or json.loads(said)["error"]["message"]
    assert len(place.upstream.invoice) == calls


HEADS = {
    "content-length with transfer-encoding": HOST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding with content-length": HOST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": HOST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "a length that is no number": HOST + b"Content-Length: 2x\r\n\r\n{}",
    "a negative length": HOST + b"Content-Length: -2\r\n\r\n{}",
    "a signed length": HOST + b"Content-Length: +2\r\n\r\n{}",
    "an unknown encoding": HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked, not last": HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a bad chunk size": HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a huge chunk size": HOST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n{}",
    "a chunk that is longer than it says": HOST
    + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "a folded header": HOST + b"X-A: 1\r\n 2\r\nContent-Length: 2\r\n\r\n{}",
    "bare line feeds": b"Host: localhost\nContent-Length: 2\n\n{}",
    "a bare line feed in a header": HOST + b"X: a\nX-B: c\r\nContent-Length: 2\r\n\r\n{}",
    "a bare return in a header": HOST + b"X: a\rX-B: c\r\nContent-Length: 2\r\n\r\n{}",
    "a null byte": HOST + b"X: a\x00b\r\nContent-Length: 2\r\n\r\n{}",
    "a blank before the colon": HOST + b"Content-Length : 2\r\n\r\n{}",
    "a header without a name": HOST + b": a\r\nContent-Length: 2\r\n\r\n{}",
    "a header without a colon": HOST + b"abc\r\nContent-Length: 2\r\n\r\n{}",
    "a header of 128 KiB": HOST + b"X: " + b"a" * 131_072 + b"\r\n\r\n",
    "200 headers": HOST + b"X: a\r\n" * 200 + b"\r\n",
    "no host": b"Content-Length: 2\r\n\r\n{}",
    "another host": b"Host: evil.test\r\nContent-Length: 2\r\n\r\n{}",
    "a host with a path": b"Host: localhost/v1?x\r\nContent-Length: 2\r\n\r\n{}",
    "another origin": HOST + b"Origin: http://evil.test\r\nContent-Length: 2\r\n\r\n{}",
}
LINES = {
    "an unknown method": b"BREW /v1/chat/completions HTTP/1.1\r\n" + HOST + b"\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an old version": b"POST /v1/chat/completions HTTP/0.9\r\n" + HOST + b"\r\n",
    "no version": b"POST /v1/chat/completions\r\n" + HOST + b"\r\n",
    "a request line of 64 KiB": b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a handshake of TLS": bytes.fromhex("16030100a5010000a10303") + b"\x00" * 100,
    "line feeds in the path": b"GET /v1/models\n HTTP/1.1\r\n" + HOST + b"\r\n",
}


@pytest.mark.parametrize("name", [*HEADS, *LINES])
def test_a_hostile_head_is_a_4xx_and_ends_the_connection(place: Place, name: str) -> None:
    """What another server might read differently is refused, and nothing behind it is served."""
    calls = len(place.upstream.invoice)
    head = CHAT + HEADS[name] if name in HEADS else LINES[name]
    second = CHAT + HOST + b"Content-Length: %d\r\n\r\n%b" % (len(GOOD), GOOD)
    said = place.raw([head, second])
    statuses = [int(found) for found in re.findall(rb"HTTP/1\.1 (\d+) ", said)]
    # To what claims a version before connections could be kept, bytes behind it end it unanswered.
    assert statuses or name in ("an old version", "no version"), name
    assert all(400 <= status < 500 for status in statuses[:1]), (name, said[:300])
    if name not in ("another host", "a host with a path", "another origin", "an unknown method"):
        assert len(statuses) <= 1, (name, said[:600])
        assert len(place.upstream.invoice) == calls


def test_bytes_beyond_the_length_are_another_request(place: Place) -> None:
    """A length that is too short cannot make the rest part of the body."""
    said = place.raw([CHAT + HOST + b"Content-Length: 2\r\n\r\n{}" + b"x" * 50 + b"\r\n\r\n"])
    # Or it is closed at once, where both came in one piece.
    statuses = [int(s) for s in re.findall(rb"HTTP/1\.1 (\d+) ", said)]
    assert set(statuses) <= {400}


@pytest.mark.parametrize("name", ["with its length", "chunked"])
def test_a_hundred_megabytes_are_refused_in_bounded_memory(place: Place, name: str) -> None:
    """413, though the length is only known by counting, and memory stays within the limit."""
    before = place.served.rss_bytes()
    piece = b"a" * MIB
    if name == "chunked":
        head = CHAT + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        parts = [head, *[b"100000\r\n" + piece + b"\r\n"] * 100, b"0\r\n\r\n"]
    else:
        parts = [CHAT + HOST + b"Content-Length: %d\r\n\r\n" % (100 * MIB), *[piece] * 100]
    said = place.raw(parts)
    assert said.startswith(b"HTTP/1.1 413 "), said[:200]
    assert place.served.rss_bytes() - before < 80 * MIB


def test_texts_of_callers_never_become_headers(place: Place) -> None:
    """Line breaks in a model's name, a session or a nonce stay in the body or are refused."""
    evil = "auto\r\nx-injected: 1\r\n\r\nhi"
    body = json.dumps({"model": evil, "messages": [{"role": "user", "content": evil}]}).encode()
    for path in PATHS[:3]:
        link = http.client.HTTPConnection("127.0.0.1", place.served.port, timeout=30)
        link.request("POST", path, body, {"x-turnout-session": "a b\tc\x7f" * 30})
        answer = link.getresponse()
        assert 400 <= answer.status < 500
        assert answer.getheader("x-injected") is None
        link.close()


@pytest.mark.slow
def test_a_body_that_never_comes_whole_is_a_408(place: Place) -> None:
    """A length that promises more than is sent ends at the deadline, and so does the connection."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", place.served.port), 20) as link:
        link.sendall(CHAT + HOST + b"Content-Length: 1000\r\n\r\n{")
        assert link.recv(4096).startswith(b"HTTP/1.1 408 ")
        assert link.recv(4096) == b""
    assert time.monotonic() - began < 11.5


@pytest.mark.slow
def test_slow_clients_are_closed_and_healthy_ones_do_not_notice(place: Place) -> None:
    """A hundred trickling heads and bodies are gone within 10 s, while others are answered."""
    starts = [CHAT + HOST, CHAT + HOST + b"Content-Length: 1000\r\n\r\n{"]
    links = [socket.create_connection(("127.0.0.1", place.served.port), 5) for _ in range(100)]
    began = time.monotonic()
    for number, link in enumerate(links):
        link.sendall(starts[number % 2])
        link.setblocking(False)
    healthy: list[int] = []
    ended: dict[int, float] = {}
    with ThreadPoolExecutor(1) as pool:
        while len(ended) < len(links) and time.monotonic() - began < 13:
            asked = pool.submit(place.post, "/v1/chat/completions", GOOD)
            for number, link in enumerate(links):
                if number not in ended and _has_ended(link):
                    ended[number] = time.monotonic() - began
            healthy.append(asked.result()[0])
            time.sleep(0.2)
    for link in links:
        link.close()
    assert len(ended) == len(links)
    assert max(ended.values()) < 11.5
    assert set(healthy) == {200}


def _has_ended(link: socket.socket) -> bool:
    """Trickles a byte on; whether the gateway has closed the connection."""
    try:
        link.send(b"X")
        return link.recv(4096) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_it_still_serves_after_all_of_that(place: Place) -> None:
    """No crash, no traceback, no 5xx in its log."""
    status, _ = place.post("/v1/chat/completions", GOOD)
    assert status == 200
    log = place.served.log()
    assert "Traceback" not in log
    assert not re.search(r'"status": ?5\d\d', log)

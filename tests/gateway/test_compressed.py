"""Requests with compressed bodies, as coding agents send long ones."""

import gzip
import json
import sys
import zlib

import pytest

from tests.gateway.world import chat, messages, world
from turnout.gateway.app import Limits

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODINGS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
    "Identity": bytes,
}
PATHS = {
    "/v1/chat/completions": chat(),
    "/v1/messages": messages(),
    "/v1/responses": {"model": "auto", "input": "What is the capital of Japan?"},
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("path", PATHS)
def test_a_compressed_body_is_read(path: str, coding: str) -> None:
    """And goes to the provider as plain JSON."""
    with world() as w:
        body = CODINGS[coding](json.dumps(PATHS[path]).encode())
        answer = w.post(path, body, {"content-encoding": coding})
        assert answer.status == 200, answer.body
        (request,) = w.upstream.requests
    assert request.json()["model"] == "acme/fast"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_what_it_says_of_its_size_counts_for_nothing(coding: str) -> None:
    """A small body that becomes a large one is a 413 at the limit of bodies."""
    with world(limits=Limits(max_body_bytes=100_000)) as w:
        body = CODINGS[coding](b'{"model": "' + b" " * 50_000_000 + b'"}')
        assert len(body) < 100_000
        answer = w.post("/v1/chat/completions", body, {"content-encoding": coding})
        assert answer.status == 413
        assert answer.json()["error"]["code"] == "body_too_large"
        assert w.upstream.requests == []


def test_a_window_that_takes_too_much_memory_is_none() -> None:
    """A zstd frame may ask for gigabytes to look back in."""
    options = {zstd.CompressionParameter.window_log: 27}
    wide = zstd.ZstdCompressor(options=options)
    body = wide.compress(json.dumps(chat()).encode()) + wide.flush()
    with world() as w:
        answer = w.post("/v1/chat/completions", body, {"content-encoding": "zstd"})
        assert answer.status == 400
        assert answer.json()["error"]["code"] == "invalid_encoding"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("spoil", ["cut", "plain"])
def test_damaged_bodies_are_refused(coding: str, spoil: str) -> None:
    """One that ends too early, and one that is not compressed at all."""
    plain = json.dumps(chat()).encode()
    body = CODINGS[coding](plain)[:-6] if spoil == "cut" else plain
    with world() as w:
        answer = w.post("/v1/chat/completions", body, {"content-encoding": coding})
        assert answer.status == 400
        assert answer.json()["error"]["code"] == "invalid_encoding"


def test_other_codings_name_those_that_are_taken() -> None:
    """In the caller's format."""
    with world() as w:
        answer = w.post("/v1/messages", b"x", {"content-encoding": "br"})
        assert answer.status == 415
        assert "gzip, deflate, zstd" in answer.json()["error"]["message"]

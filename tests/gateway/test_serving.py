"""Access, limits and slow clients, on real sockets."""

import resource
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.gateway.world import chat, world
from tests.runtime.world import config
from turnout.core import ConfigError
from turnout.gateway.access import Access
from turnout.gateway.admin_token import admin_token
from turnout.gateway.app import Limits
from turnout.gateway.openapi import paths
from turnout.testing import FaultyUpstream, serving

KEY = "caller-key-0123456789"
ADMIN = "admin-key-0123456789"


def test_every_path_but_the_listed_ones_needs_a_key() -> None:
    """Without a key or with a wrong one it is 401 on every path of the document."""
    with world(access=Access([KEY], ADMIN)) as w:
        for method, path in [*paths(), ("GET", "/v1/anything")]:
            data = b"{}" if method == "POST" else None
            for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": ""}):
                status = w.send(method, path.replace("{id}", "d_1"), data, headers).status
                assert (status == 401) == (path not in {"/healthz", "/readyz"}), path
        good = {"authorization": f"Bearer {KEY}"}
        assert w.post("/v1/chat/completions", chat(), good).status == 200
        assert w.post("/v1/chat/completions", chat(), {"x-api-key": KEY}).status == 200
        assert w.get("/metrics", good).status == 403
        assert w.get("/metrics", {"x-api-key": ADMIN}).status == 200


def test_pages_of_other_origins_and_other_hosts_are_kept_out() -> None:
    """A browser on this machine cannot be used to spend."""
    with world() as w:
        for headers in ({"origin": "http://evil.test"}, {"host": "evil.test"}):
            assert w.post("/v1/chat/completions", chat(), headers).status == 403
        assert w.upstream.invoice == []


def test_a_client_that_never_finishes_its_request_is_closed() -> None:
    """Bytes that trickle in do not keep a connection: head or body, the deadline is absolute."""
    starts = [
        b"",
        b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n",
        b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
    ]
    with world(limits=Limits(receive_s=0.7)) as w:
        for start in starts:
            with socket.create_connection(("127.0.0.1", w.port), timeout=5) as link:
                link.sendall(start)
                began = time.monotonic()
                assert not link.recv(1000) or link.recv(1000) == b""
                assert time.monotonic() - began < 4


def test_hostile_heads_are_refused() -> None:
    """Too long a head, no Host, CL with TE, and bare line feeds never reach a model."""
    line = b"POST /v1/chat/completions HTTP/1.1\r\n"
    heads = [
        line + b"Host: localhost\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        line + b"Host: localhost\r\n" + b"X: a\r\n" * 200 + b"\r\n",
        line + b"Content-Length: 2\r\n\r\n{}",
        line + b"Host: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        line + b"Host: localhost\r\nContent-Length: x\r\n\r\n",
    ]
    with world() as w:
        for head in heads:
            with socket.create_connection(("127.0.0.1", w.port), timeout=5) as link:
                link.sendall(head)
                assert link.recv(12)[:10] == b"HTTP/1.1 4", head[:80]
        assert w.upstream.invoice == []


def test_as_many_connections_as_the_machine_allows() -> None:
    """The usual limit of 1,024 files is below the 2,000 requests that are taken at a time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with FaultyUpstream() as upstream:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        try:
            with serving(config(upstream)) as served:
                found = resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found == (65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536), hard)


def test_the_admin_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    """A second start finds the first one's token."""
    token, fresh = admin_token(tmp_path / "state")
    assert fresh
    assert admin_token(tmp_path / "state") == (token, False)
    assert (tmp_path / "state" / "admin-token").stat().st_mode & 0o077 == 0
    assert len(token) > 40


def test_a_start_that_ends_while_it_makes_the_token_is_no_hindrance(tmp_path: Path) -> None:
    """Killed at any moment, it leaves no token or a whole one: the next start serves."""
    program = (
        "import os, sys; from pathlib import Path; from turnout.gateway import admin_token as a\n"
    )
    program += "a.secrets.token_urlsafe = lambda n: os._exit(9)\na.admin_token(Path(sys.argv[1]))"
    ended = subprocess.run([sys.executable, "-c", program, tmp_path], check=False)
    assert ended.returncode == 9
    token, fresh = admin_token(tmp_path)
    assert fresh
    assert len(token) > 40


def test_many_first_starts_at_once_find_one_token(tmp_path: Path) -> None:
    """Whoever comes second takes what the first one made."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: admin_token(tmp_path), range(32)))
    assert len({token for token, _ in found}) == 1
    assert sum(fresh for _, fresh in found) == 1


@pytest.mark.parametrize("weak", ["", "admin", "sk-1234", "changeme"])
def test_a_weak_admin_token_is_refused(tmp_path: Path, weak: str) -> None:
    """Nobody starts with a token that can be guessed; the line says how to get another."""
    (tmp_path / "admin-token").write_text(weak)
    with pytest.raises(ConfigError, match="holds a weak token; delete it to get a new one"):
        admin_token(tmp_path)

"""A host of addresses of both families, of which one keeps silent."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from tests.providers.worlds import PATIENT, call, deployment, fault_of, request, text_of
from turnout.providers import HttpTransport
from turnout.testing import FaultyUpstream


@contextmanager
def silent_beside(port: int) -> Iterator[None]:
    """The same port of ``::1`` takes no connection and refuses none: its queue is full."""
    with ExitStack() as stack:
        silent = stack.enter_context(socket.socket(socket.AF_INET6))
        try:
            silent.bind(("::1", port))
        except OSError:
            pytest.skip("this machine has no IPv6 address of its own")
        silent.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket(socket.AF_INET6))
            waiting.setblocking(False)
            waiting.connect_ex(("::1", port))
        yield


async def test_a_silent_family_does_not_use_up_the_time_to_connect(
    upstream: FaultyUpstream, transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other family is tried while the first one's answer is waited for."""
    port = upstream.port
    kind = (socket.SOCK_STREAM, 6, "")
    both = [
        (socket.AF_INET6, *kind, ("::1", port, 0, 0)),
        (socket.AF_INET, *kind, ("127.0.0.1", port)),
    ]

    async def addresses(*_: Any, **__: Any) -> list[Any]:
        return both

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", addresses, raising=False)
    where = deployment(f"http://both.example.org:{port}/v1", "acme/small")
    with silent_beside(port):
        found = await call(
            transport, where, request("nonce: n-7"), timeouts=structs.replace(PATIENT, connect_s=5)
        )
        assert fault_of(found) is None
        assert text_of(found).startswith("acme/small answers n-7:")
        both.pop()
        other = replace(where.provider, base_url=f"http://six.example.org:{port}/v1")
        fault = fault_of(
            await call(
                transport, replace(where, provider=other), request(),
                timeouts=structs.replace(PATIENT, connect_s=0.4),
            )
        )  # fmt: skip
    assert fault is not None
    assert fault.kind == "timeout"

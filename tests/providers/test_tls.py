"""TLS between our own server and our own client, with a certificate made for the test."""

import asyncio
import socket
import subprocess
from pathlib import Path

import pytest

from turnout.gateway.exchange import Exchange
from turnout.gateway.listener import Address, tls_context
from turnout.gateway.server import HttpServer
from turnout.providers import HttpTransport, Timeouts, TransportError, WireRequest, read_all


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


async def test_a_trusted_certificate_carries_exchanges_and_another_one_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bodies come back whole on one connection; a stranger's certificate is named as the fault."""
    cert, key = certificate(tmp_path)

    async def echo(out: Exchange) -> None:
        await out.arrived()
        await out.whole(200, [], out.taken_body())

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = HttpServer(echo)
    await server.start(listener, tls_context(Address(certificate=cert, key=key)))
    url = f"https://localhost:{listener.getsockname()[1]}/"
    wire = WireRequest(url=url, body=bytes(200_000))
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    trusting = HttpTransport()
    for _ in range(3):
        assert await read_all(await trusting.send(wire, Timeouts())) == wire.body
    assert [len(pool.standing) for pool in trusting._pools.values()] == [1]
    monkeypatch.delenv("SSL_CERT_FILE")
    wary = HttpTransport()
    with pytest.raises(TransportError, match="is not valid: self-signed certificate"):
        await wary.send(wire, Timeouts())
    for transport in (trusting, wary):
        await transport.aclose()
    await server.stop()
    await asyncio.sleep(0.05)

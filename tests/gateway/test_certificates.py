"""A provider whose certificate is not to be trusted: what the caller is told, and who answers."""

import asyncio
import datetime as dt
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.gateway.test_golden_matrix import body_of
from tests.gateway.world import World, world
from tests.runtime.world import CODE
from turnout.testing.outcomes import PATHS, Dialect

DAY = dt.timedelta(days=1)
CASES = {
    "expired": ("certificate has expired", "must renew it, or this machine's clock is wrong"),
    "early": ("certificate is not yet valid", "this machine's clock is wrong"),
    "wrong host": ("not valid for 'localhost'", "use the host that it is made for in base_url"),
    "self-signed": ("self-signed certificate", "set SSL_CERT_FILE to a file with"),
}


def certificate(folder: Path, host: str, starts: dt.timedelta, days: int) -> Path:
    """A certificate for ``host`` that signs itself and begins so long from now, with its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + starts + days * DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / f"{host}.pem"
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


class Handshakes:
    """A TLS server in a thread: its port, and how many connections came."""

    def __init__(self, cert: Path) -> None:
        self.port, self.connections = 0, 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert)
        self.running, self.stop = threading.Event(), threading.Event()

    async def serve(self) -> None:
        """Counts connections and tries to shake hands until it is stopped."""

        async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            del reader
            self.connections += 1
            try:
                await writer.start_tls(self.context)
            except OSError:
                writer.close()

        server = await asyncio.start_server(upgrade, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.running.set()
        await asyncio.to_thread(self.stop.wait)
        server.close()


@contextmanager
def handshakes(cert: Path) -> Iterator[Handshakes]:
    """The server with this certificate."""
    server = Handshakes(cert)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    assert server.running.wait(10)
    try:
        yield server
    finally:
        server.stop.set()
        thread.join()


@pytest.fixture(params=CASES)
def gate(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[World, Handshakes, str]]:
    """A gateway whose model ``coder`` is at a provider with such a certificate."""
    case: str = request.param
    host = "other.test" if case == "wrong host" else "localhost"
    starts = {"expired": -9 * DAY, "early": 9 * DAY}.get(case, -DAY)
    cert = certificate(tmp_path, host, starts, 5)
    if case != "self-signed":
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    with handshakes(cert) as server:
        with world(elsewhere={"coder": f"https://localhost:{server.port}/v1"}) as w:
            yield w, server, case


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", ["chat", "messages", "responses"])
def test_the_caller_is_told_cause_and_fix(
    gate: tuple[World, Handshakes, str], dialect: Dialect, *, stream: bool
) -> None:
    """In its own format, after one try: a certificate is no better a moment later."""
    w, server, case = gate
    asked = body_of(dialect, "text") | {"model": "coder", "stream": stream}
    answer = w.post(PATHS[dialect], asked)
    assert answer.status == 502
    error = answer.json()["error"]
    for words in (f"the certificate of localhost:{server.port}", *CASES[case]):
        assert words in error["message"]
    assert (answer.json().get("type") == "error") == (dialect == "messages")
    assert server.connections == 1
    assert answer.headers["x-turnout-attempts"] == "1"


def test_another_provider_answers(gate: tuple[World, Handshakes, str]) -> None:
    """The failed attempt is on record, and only then was another model asked."""
    w, server, case = gate
    body = {"model": "auto", "messages": [{"role": "user", "content": CODE}]}
    answer = w.post("/v1/chat/completions", body)
    assert (answer.status, answer.headers["x-turnout-attempts"]) == (200, "2")
    assert server.connections == 1
    record = w.get(f"/v1/decisions/{answer.headers['x-turnout-decision']}").json()
    first, second = record["attempts"]
    assert (first["model"], first["status"], second["status"]) == ("acme/coder", "failed", "ok")
    assert CASES[case][0] in str(first)

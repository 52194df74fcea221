"""The listening socket, and the server's side of TLS.

Invariant: without a key only this machine can connect. This module does not know requests.
"""

import errno
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from turnout.core import ConfigError
from turnout.core.hosts import LOOPBACK

if TYPE_CHECKING:
    from ssl import SSLContext

_BACKLOG = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen, and with which certificate."""

    host: str = "127.0.0.1"
    port: int = 4100
    certificate: Path | None = None
    key: Path | None = None


def bind(address: Address, *, keyless: bool) -> socket.socket:
    """The listening socket. Raises ConfigError, also for other machines without a key."""
    host = address.host.removeprefix("[").removesuffix("]")
    if not host or "/" in host:
        raise ConfigError(
            f"--host {address.host!r} is not an address; use one of this machine, such as "
            "127.0.0.1, ::1 or 0.0.0.0"
        )
    if host not in LOOPBACK and keyless:
        raise ConfigError(
            f"--host {address.host} can be reached from other machines and there is no key; make "
            "one with turnout keys create, or set TURNOUT_KEYS to keys separated by commas"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, address.port))
    except (OSError, UnicodeError, TypeError) as error:  # the latter: no name has such letters
        listener.close()
        fix, why = "choose another --host or --port", getattr(error, "strerror", None) or error
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            fix = "choose another --port, or replace a gateway there with --take-over"
        raise ConfigError(
            f"cannot listen on {address.host}:{address.port} ({why}); {fix}"
        ) from error
    listener.listen(_BACKLOG)
    listener.set_inheritable(True)
    return listener


def is_local(listener: socket.socket) -> bool:
    """Whether only this machine can reach it."""
    return listener.getsockname()[0] in LOOPBACK


def tls_context(address: Address | None) -> "SSLContext | None":
    """The server's side of TLS; None without a certificate. Raises ConfigError."""
    if address is None or address.certificate is None:
        return None
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(address.certificate, address.key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f"--tls-cert {address.certificate} and --tls-key {address.key} cannot be used: {error}"
        ) from error
    return context


def renew(context: "SSLContext | None", address: Address | None) -> None:
    """Loads the certificate again, for new connections. Raises ConfigError."""
    if context is None or address is None or address.certificate is None:
        return
    tls_context(address)  # an unusable one must not get into the context that serves
    context.load_cert_chain(address.certificate, address.key)

"""Runs the gateway on a socket until it is told to stop: one process, drained gracefully.

Invariant: after a signal nothing new is accepted, answers under way are finished up to a deadline,
and only then does the process end. This module does not know workers.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from turnout.core import ConfigError
from turnout.gateway.access import Access
from turnout.gateway.app import Gateway, Limits
from turnout.gateway.guard import guarded
from turnout.gateway.reload import Reloader
from turnout.runtime import Router

if TYPE_CHECKING:
    from uvicorn import Config, Server

_LOG = logging.getLogger("turnout.gateway")
_BACKLOG = 2048
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen, and with which certificate."""

    host: str = "127.0.0.1"
    port: int = 4100
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds and bytes: how long a drain may take, an idle connection is kept, a head may be."""

    drain_s: float = 60.0
    keep_alive_s: int = 75
    max_head_bytes: int = 32 * 1024


def bind(address: Address, access: Access) -> socket.socket:
    """The listening socket. Raises ConfigError, also for an open door without a key."""
    if address.host not in _LOOPBACK and access.keyless:
        raise ConfigError(
            f"--host {address.host} is reachable from elsewhere and there is no key; "
            "set TURNOUT_KEYS to one or more keys, separated by commas"
        )
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # A new release can bind beside the old one and take over while that one drains.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((address.host, address.port))
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {address.host}:{address.port} ({error.strerror}); choose --port"
        ) from error
    listener.listen(_BACKLOG)
    listener.set_inheritable(True)
    return listener


async def serve(
    build: Callable[[], Router],
    listener: socket.socket,
    *,
    access: Access,
    limits: Limits | None = None,
    address: Address | None = None,
    patience: Patience | None = None,
    config_path: Path | None = None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serves until SIGTERM or SIGINT; SIGHUP and a changed file reload the configuration.

    ``ready`` is called once connections are taken.
    """
    limits, patience = limits or Limits(), patience or Patience()
    gateway = Gateway(build(), limits, access)
    reloader = Reloader(gateway, build, config_path)
    server = _server(_config(gateway, limits, patience, address or Address()), ready)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, _reload_soon, reloader)
    watching = asyncio.create_task(reloader.run())
    try:
        await server.serve(sockets=[listener])
    finally:
        watching.cancel()
        loop.remove_signal_handler(signal.SIGHUP)


def _server(config: "Config", ready: Callable[[], None]) -> "Server":
    """A server that ends by itself after a signal, instead of raising the signal once more."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            del frame
            self.force_exit = self.should_exit and sig == signal.SIGINT
            self.should_exit = True

    return Server(config)


_reloads: "set[asyncio.Task[bool]]" = set()


def _reload_soon(reloader: Reloader) -> None:
    task = asyncio.ensure_future(reloader.reload())
    _reloads.add(task)
    task.add_done_callback(_reloads.discard)


def _config(gateway: Gateway, limits: Limits, patience: Patience, address: Address) -> "Config":
    import uvicorn

    return uvicorn.Config(
        gateway,
        http=guarded(max_head_bytes=patience.max_head_bytes, receive_s=limits.receive_s),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=patience.keep_alive_s,
        timeout_graceful_shutdown=int(patience.drain_s),
        ssl_certfile=str(address.certificate) if address.certificate else None,
        ssl_keyfile=str(address.key) if address.key else None,
    )

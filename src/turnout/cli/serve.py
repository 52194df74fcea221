"""``turnout serve``: the gateway in one process or several."""

import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from turnout.cli.options import ConfigOption, err, router
from turnout.core import ConfigError
from turnout.runtime import Router
from turnout.runtime.recording import SECRET, SOCKET, place_of

if TYPE_CHECKING:
    from turnout.gateway.access import Access
    from turnout.gateway.serve import Address

_EXTRA = "turnout serve needs more packages: pip install 'turnout[serve]'"

HostOption = Annotated[str, typer.Option(help="Address to listen on.")]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any free one.")]
WorkersOption = Annotated[int, typer.Option(min=1, max=64, help="Processes that serve.")]
DrainOption = Annotated[float, typer.Option(min=0, help="Seconds to finish answers when stopped.")]
CertOption = Annotated[Path | None, typer.Option(help="TLS certificate chain (PEM).")]
KeyOption = Annotated[Path | None, typer.Option(help="TLS private key (PEM).")]
FdOption = Annotated[int | None, typer.Option(hidden=True)]
TakeOverOption = Annotated[
    bool,
    typer.Option("--take-over", help="Replace the gateway on this port without losing a request."),
]


def serve(
    *,
    config: ConfigOption = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 4100,
    workers: WorkersOption = 1,
    drain_s: DrainOption = 60.0,
    tls_cert: CertOption = None,
    tls_key: KeyOption = None,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    take_over: TakeOverOption = False,
    fd: FdOption = None,
    ready_fd: FdOption = None,
) -> None:
    """Serve OpenAI's and Anthropic's APIs on one address; TURNOUT_KEYS lists callers' keys."""
    try:
        from turnout.gateway import log
        from turnout.gateway.access import Access
        from turnout.gateway.admin_token import admin_token, state_dir
        from turnout.gateway.handover import Handover, TakenOver, handover_path
        from turnout.gateway.serve import Address, bind
    except ImportError as error:
        raise ConfigError(_EXTRA) from error
    token, fresh = admin_token(state_dir(os.environ))
    keys = [key.strip() for key in os.environ.get("TURNOUT_KEYS", "").split(",") if key.strip()]
    _check_keys(keys)
    access = Access(keys, token)
    address = Address(host=host, port=port, certificate=tls_cert, key=tls_key)
    _check_tls(address.certificate, address.key)
    run = _Run(config=config, access=access, address=address, drain_s=drain_s)
    if fd is not None:
        log.configure(log_level)
        run.one(socket.socket(fileno=fd), _tells(ready_fd))
        return
    if take_over:
        _check_ledger(router(config))
    taken = TakenOver(handover_path(state_dir(os.environ), port)) if take_over else None
    listener = taken.listener if taken else bind(address, access)
    if fresh:
        err.print(f"made an admin token: {state_dir(os.environ) / 'admin-token'}", markup=False)
    bound = listener.getsockname()[1]
    scheme = "https" if tls_cert else "http"
    err.print(f"serving on {scheme}://{host}:{bound}/v1", markup=False)
    ready = taken.ready if taken else _nothing
    stop = partial(os.kill, os.getpid(), signal.SIGTERM)
    with Handover(handover_path(state_dir(os.environ), bound), listener, stop):
        if workers > 1:
            # One clear message instead of one a worker.
            with router(config) as one:
                sys.exit(_supervise(listener, workers, one, ready))
        log.configure(log_level)
        run.one(listener, ready)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What one serving process needs beside its socket."""

    config: Path | None
    access: "Access"
    address: "Address"
    drain_s: float

    def one(self, listener: socket.socket, ready: Callable[[], None]) -> None:
        """Serves in this process until it is told to stop."""
        import uvloop

        from turnout.gateway.serve import Patience
        from turnout.gateway.serve import serve as serve_on

        uvloop.run(
            serve_on(
                lambda: router(self.config),
                listener,
                access=self.access,
                address=self.address,
                patience=Patience(drain_s=self.drain_s),
                config_path=self.config or _default_path(),
                ready=ready,
            )
        )


def _tells(descriptor: int | None) -> Callable[[], None]:
    """Writes to the supervisor once, that this worker serves."""
    if descriptor is None:
        return _nothing

    def tell() -> None:
        os.write(descriptor, b"R")
        os.close(descriptor)

    return tell


def _nothing() -> None:
    """Nobody waits to be told."""


def _check_ledger(one: Router) -> None:
    place = place_of(one.parts.config, os.environ)
    if place is not None and "://" not in place:
        raise ConfigError(
            "two gateways cannot write one SQLite ledger, so --take-over needs "
            "'ledger: postgresql://...' or 'ledger: off'"
        )


def _supervise(
    listener: socket.socket, workers: int, one: Router, ready: Callable[[], None]
) -> int:
    """Keep workers running; one file's ledger is written here, for all of them."""
    import secrets
    import tempfile

    from turnout.gateway.workers import Workers
    from turnout.ledger import Ledger
    from turnout.ledger.shared import LedgerHost

    options = _without_workers(sys.argv[1:])
    command = [sys.executable, "-m", "turnout", *options, "--fd", str(listener.fileno())]
    with tempfile.TemporaryDirectory(prefix="turnout-metrics-") as metrics:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics
        running = Workers(command, workers, [listener.fileno()])
        ledger = one.parts.means.recorder
        if not isinstance(ledger, Ledger) or not ledger.store.exclusive:
            return running.run(ready)
        secret = secrets.token_bytes(32)
        host = LedgerHost(ledger, f"{metrics}/ledger", secret)
        ledger.start()
        os.environ[SOCKET], os.environ[SECRET] = f"{metrics}/ledger", secret.hex()
        try:
            return running.run(ready)
        finally:
            host.close()


def _without_workers(arguments: list[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if not skip and not argument.startswith("--workers"):
            kept.append(argument)
        skip = argument == "--workers"
    return kept


def _default_path() -> Path | None:
    named = os.environ.get("TURNOUT_CONFIG", "turnout.yaml")
    return Path(named) if Path(named).exists() else None


def _check_keys(keys: list[str]) -> None:
    for place, key in enumerate(keys):
        if len(key) < 16:
            raise ConfigError(
                f"TURNOUT_KEYS: key {place + 1} has fewer than 16 characters; make one with "
                "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )


def _check_tls(certificate: Path | None, key: Path | None) -> None:
    if (certificate is None) != (key is None):
        raise ConfigError("--tls-cert and --tls-key go together; give both")
    for path in (certificate, key):
        if path is not None and not path.is_file():
            raise ConfigError(f"{path}: no such file")

"""``turnout serve``: the gateway in one process or several."""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from turnout.cli.options import ConfigOption, err, router
from turnout.core import ConfigError
from turnout.runtime import Router
from turnout.runtime.recording import SECRET, SOCKET

_EXTRA = "turnout serve needs more packages: pip install 'turnout[serve]'"

HostOption = Annotated[str, typer.Option(help="Address to listen on.")]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any free one.")]
WorkersOption = Annotated[int, typer.Option(min=1, max=64, help="Processes that serve.")]
DrainOption = Annotated[float, typer.Option(min=0, help="Seconds to finish answers when stopped.")]
CertOption = Annotated[Path | None, typer.Option(help="TLS certificate chain (PEM).")]
KeyOption = Annotated[Path | None, typer.Option(help="TLS private key (PEM).")]
FdOption = Annotated[int | None, typer.Option(hidden=True)]


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
    fd: FdOption = None,
) -> None:
    """Serve OpenAI's and Anthropic's APIs on one address; TURNOUT_KEYS lists callers' keys."""
    try:
        import uvloop

        from turnout.gateway import log
        from turnout.gateway.access import Access
        from turnout.gateway.admin_token import admin_token, state_dir
        from turnout.gateway.serve import Address, Patience, bind
        from turnout.gateway.serve import serve as serve_on
    except ImportError as error:
        raise ConfigError(_EXTRA) from error
    token, fresh = admin_token(state_dir(os.environ))
    keys = [key.strip() for key in os.environ.get("TURNOUT_KEYS", "").split(",") if key.strip()]
    _check_keys(keys)
    access = Access(keys, token)
    address = Address(host=host, port=port, certificate=tls_cert, key=tls_key)
    _check_tls(address.certificate, address.key)
    listener = socket.socket(fileno=fd) if fd is not None else bind(address, access)
    if fd is None:
        if fresh:
            place = state_dir(os.environ) / "admin-token"
            err.print(f"made an admin token: {place}", markup=False)
        bound = listener.getsockname()[1]
        scheme = "https" if tls_cert else "http"
        err.print(f"serving on {scheme}://{host}:{bound}/v1", markup=False)
    if workers > 1:
        # One clear message instead of one a worker.
        with router(config) as one:
            sys.exit(_supervise(listener, workers, one))
    log.configure(log_level)
    uvloop.run(
        serve_on(
            lambda: router(config),
            listener,
            access=access,
            address=address,
            patience=Patience(drain_s=drain_s),
            config_path=config or _default_path(),
        )
    )


def _supervise(listener: socket.socket, workers: int, one: Router) -> int:
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
            return running.run()
        secret = secrets.token_bytes(32)
        host = LedgerHost(ledger, f"{metrics}/ledger", secret)
        ledger.start()
        os.environ[SOCKET], os.environ[SECRET] = f"{metrics}/ledger", secret.hex()
        try:
            return running.run()
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

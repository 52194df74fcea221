"""``turnout serve``: the gateway in one process or several."""

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from turnout.cli.extras import require_extra
from turnout.cli.options import ConfigOption, is_given, own_router
from turnout.cli.supervise import supervise
from turnout.config import Config, config_path, load
from turnout.core import ConfigError
from turnout.gateway import log
from turnout.gateway.access import Access
from turnout.gateway.admin_token import admin_token, state_dir
from turnout.gateway.handover import Handover, Takeover, handover_path
from turnout.gateway.listener import Address, bind
from turnout.gateway.worker_link import ParentLink
from turnout.ledger import place_of, store_at
from turnout.ledger.file_owner import FileOwner
from turnout.ledger.keys import has_keys

if TYPE_CHECKING:
    from turnout.runtime import Engine

HostOption = Annotated[str, typer.Option(help="Address to listen on.")]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any free one.")]
WorkersOption = Annotated[int, typer.Option(min=1, max=64, help="Processes that serve.")]
DrainOption = Annotated[
    float, typer.Option(min=0, help="Seconds for answers to finish at shutdown.")
]
CertOption = Annotated[Path | None, typer.Option(help="TLS certificate chain (PEM).")]
KeyOption = Annotated[Path | None, typer.Option(help="TLS private key (PEM).")]
LevelOption = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"],
    typer.Option(case_sensitive=False, help="The lowest level that is logged."),
]
FdOption = Annotated[int | None, typer.Option(hidden=True)]
WarmOption = Annotated[bool, typer.Option("--warm", hidden=True)]
TakeOverOption = Annotated[
    bool,
    typer.Option("--take-over", help="Replace the gateway on this port without losing a request."),
]


def serve(
    context: typer.Context,
    *,
    config: ConfigOption = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 4100,
    workers: WorkersOption = 1,
    drain_s: DrainOption = 60.0,
    tls_cert: CertOption = None,
    tls_key: KeyOption = None,
    log_level: LevelOption = "INFO",
    take_over: TakeOverOption = False,
    fd: FdOption = None,
    parent_fd: FdOption = None,
    warm: WarmOption = False,
) -> None:
    """Serve OpenAI's and Anthropic's APIs on one address.

    TURNOUT_KEYS lists callers' keys; turnout keys makes ones with rights and budgets.
    """
    require_extra("serve", "turnout serve")
    # Until it can reload, a SIGHUP waits: it would end the process.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    # Found once: without it, a later start or reload would not miss the file, but read the recipe.
    config = config_path(config)
    _check_tls(tls_cert, tls_key)
    state = state_dir(os.environ)
    token, is_new = admin_token(state)
    access = Access(_static_keys(os.environ), token)
    address = Address(host=host, port=port, certificate=tls_cert, key=tls_key)
    run = _Run(
        config=config, access=access, address=address, drain_s=drain_s, log_level=log_level,
        warm=warm or take_over,
    )  # fmt: skip
    if fd is not None:
        parent = _parent_link(parent_fd)
        run.run_here(
            socket.socket(fileno=fd), parent.report_serving if parent else _do_nothing, parent
        )
        return
    settings = load(config)
    takeover = _takeover(settings, handover_path(state, port)) if take_over else None
    if takeover is not None:
        address = _taken_address(address, takeover, chosen=is_given(context, "host"))
    keyless = access.keyless and not _has_keys(settings)
    listener = takeover.listener if takeover else bind(address, keyless=keyless)
    ready = takeover.ready if takeover else _do_nothing
    if is_new:
        typer.echo(f"made an admin token: {state / 'admin-token'}", err=True)
    if place_of(settings, os.environ) is None and settings.ledger is None:
        typer.echo("nothing is recorded: set HOME, XDG_DATA_HOME or 'ledger: PATH'", err=True)
    bound = listener.getsockname()[1]
    serving = partial(typer.echo, f"serving on {_url(address, bound)}", err=True)
    stop = partial(os.kill, os.getpid(), signal.SIGTERM)
    file_owner = FileOwner(place_of(settings, os.environ))
    with listener, Handover(handover_path(state, bound), listener, stop), file_owner:
        if workers > 1:
            log.configure(log_level)
            if config is not None:
                os.environ["TURNOUT_CONFIG"] = str(config)
            sys.exit(supervise(settings, listener, workers, serving, ready, file_owner))
        run.run_here(
            listener,
            lambda: (serving(), ready()),
            before_serving=lambda engine: file_owner.follow(engine.parts.means.recorder),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What a serving process needs beside its socket."""

    config: Path | None
    access: Access
    address: Address
    drain_s: float
    log_level: str
    warm: bool

    def run_here(
        self,
        listener: socket.socket,
        ready: Callable[[], object],
        parent: ParentLink | None = None,
        before_serving: Callable[["Engine"], object] | None = None,
    ) -> None:
        """Serves in this process until it is told to stop; ``before_serving`` gets each engine."""
        # What is loaded stays, so that collecting garbage while loading would be wasted.
        gc.disable()
        import uvloop

        from turnout.gateway.serve import ServeOptions
        from turnout.gateway.serve import serve as serve_on

        log.configure(self.log_level)
        serving = serve_on(
            lambda: own_router(self.config),
            listener,
            access=self.access,
            address=self.address,
            options=ServeOptions(drain_s=self.drain_s),
            config_path=self.config,
            ready=ready,
            parent=parent,
            before_serving=before_serving or _do_nothing,
            warm=self.warm,
        )
        try:
            uvloop.run(serving)
        finally:
            gc.enable()


def _parent_link(descriptor: int | None) -> ParentLink | None:
    """The parent of this worker, with which it ends; None without one."""
    if descriptor is None:
        return None
    return ParentLink(
        socket.socket(fileno=descriptor), partial(os.kill, os.getpid(), signal.SIGTERM)
    )


def _do_nothing(*_: object) -> None:
    """For a process that nobody waits for."""


def _url(address: Address, port: int) -> str:
    """The base URL for clients; ``port`` is the one that was bound."""
    host = address.host
    url_host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{'https' if address.certificate else 'http'}://{url_host}:{port}/v1"


def _has_keys(config: Config) -> bool:
    """Whether a key was ever made in the ledger. Raises RouterError."""
    ledger_place = place_of(config, os.environ)
    if ledger_place is None:
        return False
    store = store_at(ledger_place)
    try:
        return has_keys(store)
    finally:
        store.close()


def _takeover(config: Config, path: Path) -> Takeover:
    """The socket of the gateway that serves now. Raises ConfigError."""
    ledger_place = place_of(config, os.environ)
    if ledger_place is not None and "://" not in ledger_place:
        raise ConfigError(
            "two gateways cannot write one SQLite ledger, so --take-over needs "
            "'ledger: postgresql://...' or 'ledger: off'"
        )
    return Takeover(path)


def _taken_address(address: Address, takeover: Takeover, *, chosen: bool) -> Address:
    """The address with the host of the socket that was taken over.

    Raises ConfigError if another one was ``chosen``.
    """
    host, port, *_ = takeover.listener.getsockname()
    meant: set[object] = set()
    with suppress(OSError, UnicodeError):
        meant = {place[0] for *_, place in socket.getaddrinfo(address.host.strip("[]"), port)}
    if chosen and host not in meant:
        takeover.close()
        raise ConfigError(
            f"--host {address.host}: the gateway that runs listens on {host}, which --take-over "
            "keeps; leave --host out, or restart without --take-over"
        )
    return replace(address, host=host)


def _static_keys(environ: Mapping[str, str]) -> list[str]:
    """The callers' keys in TURNOUT_KEYS. Raises ConfigError for one that is too short."""
    keys = [key.strip() for key in environ.get("TURNOUT_KEYS", "").split(",") if key.strip()]
    for index, key in enumerate(keys):
        if len(key) < 16:
            raise ConfigError(
                f"TURNOUT_KEYS: key {index + 1} has fewer than 16 characters; make one with "
                "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
    return keys


def _check_tls(certificate: Path | None, key: Path | None) -> None:
    if (certificate is None) != (key is None):
        raise ConfigError("--tls-cert and --tls-key go together; give both")
    for option, path in (("--tls-cert", certificate), ("--tls-key", key)):
        if path is not None and not path.is_file():
            raise ConfigError(f"{option} {path}: no such file; give a PEM file")

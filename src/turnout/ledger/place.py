"""Where requests are recorded: at the configured place, else in the user's data folder.

``ledger: off`` records nothing, a path names a SQLite file, a ``postgresql://`` URL a server. By
default it is ``turnout/ledger.db`` in ``$XDG_DATA_HOME``, else in ``~/.local/share``; an
environment with neither that variable nor ``$HOME`` has no data folder, and records nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turnout.catalog import Catalog, Deployment
from turnout.config import Config
from turnout.core import ConfigError
from turnout.core.folders import user_folder
from turnout.ledger.ledger import Ledger
from turnout.ledger.recorder import NoRecorder, Recorder
from turnout.ledger.store import Store

OFF = "off"
_SERVERS = ("postgresql://", "postgres://")
# Variables from a process that writes for others: its socket, the secret, and its file; the last
# one alone, and empty, where several workers began without a file.
SOCKET, SECRET = "TURNOUT_LEDGER_SOCKET", "TURNOUT_LEDGER_SECRET"
FILE = "TURNOUT_LEDGER_FILE"
# A short-lived command or a notebook releases the shared default file while it is idle.
IDLE_S = 2.0


def place_of(config: Config, environ: Mapping[str, str]) -> str | None:
    """The ledger's path or URL; None when nothing is recorded."""
    if config.ledger is not None:
        return None if config.ledger == OFF else config.ledger
    return default_place(environ)


def default_place(environ: Mapping[str, str]) -> str | None:
    """The file in the user's data folder; None when the environment has none."""
    folder = user_folder(environ, "XDG_DATA_HOME", ".local/share")
    return None if folder is None else str(folder / "ledger.db")


def recorder_for(
    config: Config, environ: Mapping[str, str], catalog: Catalog, stand_in: Deployment | None = None
) -> Recorder:
    """The ledger that the configuration asks for; nothing is opened before the first request."""
    place = place_of(config, environ)
    if place is None:
        return NoRecorder()
    return Ledger(
        store_at(place),
        catalog=catalog,
        stand_in=stand_in,
        idle_s=IDLE_S,
        shared=writer_address(environ, place),
    )


def writer_variables(address: tuple[str, bytes], place: str) -> dict[str, str]:
    """The variables by which another process writes ``place`` through a gateway's ``address``."""
    socket, secret = address
    return {SOCKET: socket, SECRET: secret.hex(), FILE: place}


def writer_address(environ: Mapping[str, str], place: str) -> tuple[str, bytes] | None:
    """The socket and the secret of the process that writes for this one, if there is one.

    Raises ConfigError if that process writes another file than ``place``, or no file for workers
    that share one.
    """
    written = environ.get(FILE)
    if written is None or (not written and path_of(place) is None):
        return None
    if written != place:
        what = f"is not {written}, which" if written else "is no file that"
        raise ConfigError(
            f"ledger: {place} {what} is written for all workers; restart the gateway to change it"
        )
    return environ[SOCKET], bytes.fromhex(environ[SECRET])


def path_of(place: str) -> Path | None:
    """The file that a place names; None if it is a server. Raises ConfigError for another URL."""
    if place.startswith(_SERVERS):
        return None
    if "://" in place:
        scheme = place.partition("://")[0]
        raise ConfigError(f"ledger: a {scheme}:// URL; use a path, a postgresql:// URL or off")
    return Path(place).expanduser()


def store_at(where: str | Path, **more: Any) -> Store:
    """The store that a path or a ``postgresql://`` URL names. Raises ConfigError."""
    if path_of(str(where)) is None:
        from turnout.ledger.postgres import PostgresStore

        return PostgresStore(str(where), **more)
    from turnout.ledger.sqlite import SqliteStore

    return SqliteStore(where, **more)

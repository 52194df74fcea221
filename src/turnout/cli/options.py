"""Options that several commands share, and the router, ledger or prompt that they name."""

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from turnout.config import Config, config_path, load, load_file
from turnout.core import ConfigError, InvalidRequest
from turnout.ledger import NoRecorder, Store, place_of, store_at
from turnout.ledger.file_owner import owner_address
from turnout.ledger.place import OFF, default_place, writer_variables

if TYPE_CHECKING:
    from turnout.runtime import Router

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="turnout.yaml; else $TURNOUT_CONFIG, ./turnout.yaml, recipe."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
PlaceOption = Annotated[
    str | None, typer.Option("--ledger", help="File or postgresql:// URL; else the configured one.")
]
SinceOption = Annotated[
    str | None, typer.Option(help="A span (7d, 12h) or a date; by default all.")
]
ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="auto, a model, an intent or a policy.")
]
LedgerOption = Annotated[
    bool, typer.Option("--ledger/--no-ledger", help="Record decision and cost; never the text.")
]


def group(name: str, help_text: str) -> typer.Typer:
    """An empty group of commands."""
    return typer.Typer(name=name, help=help_text, no_args_is_help=True, rich_markup_mode=None)


def is_given(context: typer.Context, name: str) -> bool:
    """Whether the command line has the parameter called ``name``."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def refuse_given(context: typer.Context, *names: str, because: str) -> None:
    """Raises ConfigError if the command line has one of these parameters; ``because`` has the fix.

    For options that would do nothing beside the others.
    """
    given = [name for name in names if is_given(context, name)]
    flags = [
        # A flag that turns something off has a name of its own.
        (param.secondary_opts if context.params[param.name] is False else param.opts)[0]
        for param in context.command.params
        if param.name in given
    ]
    if flags:
        raise ConfigError(f"{', '.join(flags)}: {because}")


def router(config: Path | None, *, ledger: bool = True) -> "Router":
    """The router that the options and the environment describe. Raises ConfigError.

    If a gateway keeps the ledger's file open, the router writes through that gateway.
    """
    return router_of(load(config), ledger=ledger)


def router_of(config: Config, *, ledger: bool) -> "Router":
    """The router of a configuration. Raises ConfigError."""
    from turnout.runtime import Router

    place = place_of(config, os.environ) if ledger else None
    address = None if place is None else owner_address(place)
    variables = {} if place is None or address is None else writer_variables(address, place)
    recorder = None if ledger else NoRecorder()
    return Router.from_config(config, environ={**os.environ, **variables}, recorder=recorder)


def own_router(config: Path | None) -> "Router":
    """As ``router``, for the process that keeps the ledger's file. Raises ConfigError."""
    from turnout.runtime import Router

    return Router.from_config(load(config))


def unrecorded_router(config: Config) -> "Router":
    """As ``router_of``, for use that spends nothing: it has no ledger and no budgets."""
    return router_of(config.model_copy(update={"budgets": ()}), ledger=False)


def offline_router(config: Path | None) -> "Router":
    """As ``unrecorded_router``, and it asks no model for labels. Raises ConfigError."""
    from turnout.runtime import Router

    return Router(replace(unrecorded_router(load(config)).parts, label_model=None))


def open_store(ledger: str | None, config: Path | None) -> Store:
    """The ledger that the options and the configuration name, for reading. Raises ConfigError."""
    path = config_path(config)
    place = ledger or (load_file(path).ledger if path else None) or default_place(os.environ)
    if place is None:
        raise ConfigError("no ledger: set HOME or XDG_DATA_HOME, or name one with --ledger")
    if place == OFF:
        raise ConfigError("the configuration says ledger: off; name one with --ledger")
    store = store_at(place)
    store.fetch("SELECT n FROM revision")  # so that an unreadable one is reported at once
    return store


def since_ms_of(text: str | None, now_ms: int) -> int | None:
    """The moment that ``7d``, ``12h``, ``30m`` or a date means. Raises ConfigError."""
    if text is None:
        return None
    units = {"d": 86_400_000, "h": 3_600_000, "m": 60_000}
    number, unit = text[:-1], text[-1:]
    if number.isascii() and number.isdigit() and unit in units:
        return now_ms - int(number) * units[unit]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"--since is {text!r}; use a span like 7d, 12h or 30m, or a date like 2026-11-01"
        ) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def prompt_text(given: str | None) -> str:
    """The given prompt; without one, or for ``-``, standard input. Raises InvalidRequest."""
    if given is not None and given != "-":
        return given
    if sys.stdin.isatty():
        raise InvalidRequest("no prompt: give one as an argument or on standard input")
    raw = sys.stdin.buffer.read()
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"standard input is not UTF-8 text (byte {error.start}); send text"
        ) from error

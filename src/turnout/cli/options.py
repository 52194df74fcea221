"""What several commands share: their options, where prompts come from, how results are shown."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from turnout.config import load
from turnout.core import InvalidRequest, usd_from_pico
from turnout.ledger import NoRecorder

if TYPE_CHECKING:
    from turnout.runtime import Router

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="turnout.yaml; else $TURNOUT_CONFIG, ./turnout.yaml, recipe."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
LedgerOption = Annotated[
    bool, typer.Option("--ledger/--no-ledger", help="Record decision and cost; never the text.")
]

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True, highlight=False)


def router(config: Path | None, *, ledger: bool = True) -> "Router":
    """The router that the options and the environment describe. Raises ConfigError."""
    from turnout.runtime import Router

    return Router.from_config(load(config), recorder=None if ledger else NoRecorder())


def silent_router(config: Path | None) -> "Router":
    """As ``router``, but it asks nobody for a label and records nothing. Raises ConfigError."""
    from turnout.runtime import Router

    return Router(replace(router(config, ledger=False).parts, asked=None))


def prompt_text(given: str | None) -> str:
    """The prompt given, or standard input for none or ``-``. Raises InvalidRequest."""
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


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    sys.stdout.write(orjson.dumps(value, option=options).decode() + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table; columns whose names end in a unit sign are right-aligned."""
    table = Table(title=title, title_justify="left", header_style="bold", title_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if _numeric(column) else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(width=None if out.is_terminal else 160).print(table)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Shows what is being waited for, on a terminal."""
    if not err.is_terminal:
        yield
        return
    with err.status(what):
        yield


def usd(pico_usd: int | None) -> float | None:
    """Dollars for a JSON document; None stays None."""
    return None if pico_usd is None else float(usd_from_pico(pico_usd))


def share(part: int | None, whole: int | None) -> str:
    """How much less ``part`` is than ``whole``, as a signed percentage."""
    if part is None or not whole:
        return "unknown"
    return f"{100 * (part - whole) / whole:+.1f}%"


def notice(parts: Mapping[str, Any]) -> str | None:
    """The line that says a stand-in answers, where one does."""
    stand_in = parts.get("stand_in")
    if stand_in is None:
        return None
    return (
        f"no API key found: {stand_in.model} (embedded, often wrong) answers in place of the "
        "chosen model, and costs are what the chosen model would have charged"
    )


def _numeric(column: str) -> bool:
    return column in {"conf", "tokens", "cost", "vs strongest", "prompts", "share", "saving"} or (
        column.endswith(("$/M", "$", "tokens"))
    )

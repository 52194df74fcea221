"""How commands show their results: JSON, tables, and lines for people."""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from turnout.runtime import Router

T = TypeVar("T")

_NUMBER = re.compile(r"[-+]?\$?\d[\d,.]*(\+\d+)?[%*]?( ± [\d.]+)?")
_EMPTY_CELLS = frozenset({"", "-", "unknown"})

# Prompts and names are printed as they are, whatever characters they hold.
out = Console(soft_wrap=True, markup=False, emoji=False, highlight=False)
err = Console(stderr=True, soft_wrap=True, markup=False, emoji=False, highlight=False)


def print_json(value: Any) -> None:
    """One JSON document on standard output, in UTF-8 whatever the locale."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    sys.stdout.flush()
    sys.stdout.buffer.write(orjson.dumps(value, option=options) + b"\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table; columns of numbers are right-aligned."""
    table = Table(header_style="bold")
    for index, column in enumerate(columns):
        numbers = _are_numbers([row[index] for row in rows])
        table.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    out.print(title, style="bold")
    width = None if out.is_terminal else 160
    Console(width=width, markup=False, emoji=False).print(table)


@contextmanager
def status_line(what: str) -> Iterator[None]:
    """Shows, on a terminal, what is being waited for."""
    if not err.is_terminal:
        yield
        return
    with err.status(what):
        yield


def with_progress(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """The items, counted on a terminal as they are taken."""
    if not err.is_terminal:
        return items
    from rich.progress import track

    return track(items, what, total, console=err)


def report_line(source: Path, number: int, problem: str) -> None:
    """Reports what is wrong with a line; the rest of the file is still read."""
    err.print(f"turnout: {source}: line {number}: {problem}")


def relative_change(part: int | None, whole: int | None) -> str:
    """How much less ``part`` is than ``whole``, as a signed percentage."""
    if part is None or not whole:
        return "unknown"
    return f"{100 * (part - whole) / whole:+.1f}%"


def stand_in_notice(router: "Router") -> str | None:
    """The line that says that a stand-in answers; None if none does."""
    stand_in = router.parts.means.stand_in
    if stand_in is None:
        return None
    return (
        f"no API key found: {stand_in.model} (embedded, often wrong) answers in place of the "
        "chosen model, and costs are what the chosen model would have charged"
    )


def _are_numbers(cells: Sequence[str]) -> bool:
    """Whether all cells are numbers or empty, and some are numbers."""
    filled = [cell for cell in cells if cell not in _EMPTY_CELLS]
    return bool(filled) and all(map(_NUMBER.fullmatch, filled))

"""How commands show their results: JSON, tables, and lines for people."""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from turnout.runtime import Router

T = TypeVar("T")

_NUMBER = re.compile(r"[-+]?\$?\d[\d,.]*(\+\d+)?[%*]?( ± ?[\d.]+%?)?")
# In fewer characters a column of text falls into pieces of words.
_READABLE = 12
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
    """A table, numbers to the right; on a narrow terminal a line for each value instead."""
    console = Console(width=None if out.is_terminal else 160, markup=False, emoji=False)
    table, width, narrowest, plain = Table(header_style="bold"), 1, 1, True
    for index, column in enumerate(columns):
        cells = [row[index] for row in rows]
        numbers = _are_numbers(cells)
        table.add_column(
            column, justify="right" if numbers else "left", overflow="fold", no_wrap=numbers
        )
        widest = max(map(cell_len, (column, *cells)))
        width += 3 + widest
        narrowest += 3 + (widest if numbers else min(widest, _READABLE))
        plain = plain and all(map(str.isprintable, cells))
    out.print(title, style="bold")
    if narrowest > console.width:
        _print_values(columns, rows)
        return
    # Rows that each need one line are drawn together, which takes a third of the time.
    together = 100 if plain and width <= console.width else 1
    for start in range(0, len(rows), together):
        table.add_row(*map("\n".join, zip(*rows[start : start + together], strict=True)))
    console.print(table)


def _print_values(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Every value behind its column's name, and an empty line after each row."""
    width = max(map(cell_len, columns))
    for row in rows:
        for column, cell in zip(columns, row, strict=True):
            if cell:
                out.print(f"{column:<{width}}  {cell}")
        out.print()


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

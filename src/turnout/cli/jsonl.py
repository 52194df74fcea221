"""Reads prompts from JSON lines: each line is taken or reported by its number, never lost."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from turnout.core import ConfigError, InvalidRequest, check_body


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the input: its row, or what is wrong with it."""

    number: int
    row: dict[str, Any]
    error: str | None = None

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The row's conversation."""
        return messages_of(self.row)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file, or standard input for ``-``. Raises ConfigError."""
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    with file:
        yield file


def lines(file: BinaryIO) -> Iterator[Line]:
    """Every line that is not blank, checked."""
    for number, raw in enumerate(file, 1):
        if raw.strip():
            yield _line(number, raw)


def messages_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The row's ``messages``, or its ``text`` (else ``prompt``) as one user message."""
    if "messages" in row:
        return row["messages"]  # type: ignore[no-any-return]
    return [{"role": "user", "content": row.get("text", row.get("prompt"))}]


def _line(number: int, raw: bytes) -> Line:
    try:
        row = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return Line(number=number, row={}, error=f"not JSON ({error})")
    if not isinstance(row, dict):
        return Line(number=number, row={}, error="not a JSON object")
    if not {"messages", "text", "prompt"} & row.keys():
        return Line(number=number, row=row, error="has neither text nor messages")
    try:
        check_body({"messages": messages_of(row)})
    except InvalidRequest as error:
        return Line(number=number, row=row, error=str(error))
    return Line(number=number, row=row)

"""Reads prompts from JSON lines: each line is taken or reported by its number, never lost."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from turnout.core import ConfigError, InvalidRequest, check_body
from turnout.evaluation import row_files
from turnout.evaluation.row_files import marked_off

MAX_LINE_BYTES = 16 * 1024 * 1024


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
    """The file, gzipped or not, or standard input for ``-``. Raises ConfigError."""
    if str(path) == "-":
        yield marked_off(sys.stdin.buffer)
        return
    with row_files.opened(path) as file:
        yield file


@contextmanager
def written(target: Path) -> Iterator[BinaryIO]:
    """The file to write, or standard output for ``-``. Raises ConfigError."""
    try:
        if str(target) == "-":
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        else:
            with target.open("wb") as file:
                yield file
    except BrokenPipeError:
        raise  # who reads has seen enough, which is no error of theirs
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written ({error.strerror})") from error


def lines(file: BinaryIO) -> Iterator[Line]:
    """Every line that is not blank, checked."""
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            _skip_line(file, raw)
            yield _bad(number, f"longer than {MAX_LINE_BYTES // 1024**2} MiB")
        elif raw.strip():
            yield _line(number, raw)


def messages_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The row's ``messages``, or its ``text`` (else ``prompt``) as one user message."""
    if "messages" in row:
        return row["messages"]  # type: ignore[no-any-return]
    return [{"role": "user", "content": row.get("text", row.get("prompt"))}]


def _skip_line(file: BinaryIO, raw: bytes) -> None:
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(MAX_LINE_BYTES)


def _line(number: int, raw: bytes) -> Line:
    try:
        row = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return _bad(number, f"not JSON ({error})")
    if not isinstance(row, dict):
        return _bad(number, "not a JSON object")
    if not {"messages", "text", "prompt"} & row.keys():
        return _bad(number, "has neither text nor messages")
    for name in ("text", "prompt"):
        if "messages" not in row and not isinstance(row.get(name, ""), str):
            kind = type(row[name]).__name__
            return _bad(number, f"{name} must be a string, not {kind}; use messages for parts")
    try:
        check_body({"messages": messages_of(row)})
    except InvalidRequest as error:
        return Line(number=number, row=row, error=str(error))
    return Line(number=number, row=row)


def _bad(number: int, why: str) -> Line:
    return Line(number=number, row={}, error=why)

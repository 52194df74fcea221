"""Reads prompts from JSON lines; a bad line is reported by its number, never lost."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson

from turnout.core import InvalidRequest, check_body
from turnout.evaluation.row_files import object_in

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


def json_line(row: Mapping[str, Any]) -> bytes:
    """The row as a line of JSON; its id may hold invalid text or a huge number."""
    try:
        return orjson.dumps(row) + b"\n"
    except orjson.JSONEncodeError:
        return json.dumps(row).encode() + b"\n"


def read_lines(file: BinaryIO) -> Iterator[Line]:
    """Every line that is not blank, checked."""
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            _skip_line(file, raw)
            yield _bad_line(number, f"longer than {MAX_LINE_BYTES // 1024**2} MiB")
        elif raw.strip():
            yield _line(number, raw)


def messages_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The row's ``messages``, or its ``text`` (else ``prompt``) as one user message."""
    if row.get("messages") is not None:
        return row["messages"]  # type: ignore[no-any-return]
    text = row.get("text")
    return [{"role": "user", "content": row.get("prompt") if text is None else text}]


def _skip_line(file: BinaryIO, raw: bytes) -> None:
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(MAX_LINE_BYTES)


def _line(number: int, raw: bytes) -> Line:
    try:
        row = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        # Columns that are not read may hold NaN or a huge number, as other writers put them.
        row, _ = object_in(raw)
        if row is None:
            return _bad_line(number, f"not JSON ({error})")
    if not isinstance(row, dict):
        return _bad_line(number, "not a JSON object")
    if all(row.get(name) is None for name in ("messages", "text", "prompt")):
        return _bad_line(number, "has neither text nor messages")
    if isinstance(row.get("id"), float | list | dict):
        # orjson refuses whole numbers of more than 64 bits.
        row["id"] = json.loads(raw)["id"]
    for name in ("text", "prompt"):
        if row.get("messages") is None and not isinstance(row.get(name), str | None):
            kind = type(row[name]).__name__
            return _bad_line(number, f"{name} must be a string, not {kind}; use messages for parts")
    try:
        check_body({"messages": messages_of(row)})
    except InvalidRequest as error:
        return Line(number=number, row=row, error=str(error))
    return Line(number=number, row=row)


def _bad_line(number: int, problem: str) -> Line:
    return Line(number=number, row={}, error=problem)

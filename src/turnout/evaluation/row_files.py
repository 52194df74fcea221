"""Reads files that hold a row a line or a record: JSONL, gzipped or not, and Parquet.

Every problem is a ConfigError that names the file and the line.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from turnout.core import ConfigError


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """The objects of a ``.jsonl`` or ``.jsonl.gz`` file, in order.

    Raises ConfigError naming the line that is not a JSON object.
    """
    found = []
    for number, row, problem in numbered_rows(path):
        if row is None:
            raise ConfigError(f"{path}, line {number}: {problem}")
        found.append(row)
    return found


def numbered_rows(path: str | Path) -> Iterator[tuple[int, dict[str, Any] | None, str]]:
    """Each line that is not blank: its number, its object or None, and then what is wrong.

    Raises ConfigError where the file cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, *_object(line)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """The rows of a ``.parquet`` file, in order. Raises ConfigError."""
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError("reading Parquet needs: pip install 'turnout[parquet]'") from error
    try:
        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not a Parquet file: {error}") from error
    return rows


def _object(line: bytes) -> tuple[dict[str, Any] | None, str]:
    try:
        value = json.loads(line)
    except ValueError as error:
        return None, f"not JSON: {error}"
    if not isinstance(value, dict):
        return None, "not an object; write one object a line"
    return value, ""

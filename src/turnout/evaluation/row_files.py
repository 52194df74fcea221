"""Reads files with one row per line or record: JSONL, gzipped or not, and Parquet.

Every problem is a ConfigError that names the file and the line. A gzipped file is unpacked under
any name, and a byte order mark before the first line is skipped.
"""

import codecs
import gzip
import json
import sys
import zlib
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

from turnout.core import ConfigError
from turnout.core.extras import requiring_extra

_GZIP = b"\x1f\x8b"
# As objects, the rows of a whole Parquet file take ten times as much memory as in its columns.
_BATCH_ROWS = 4096


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """The objects of a ``.jsonl`` or ``.jsonl.gz`` file, in order.

    Raises ConfigError naming the line that is not a JSON object.
    """
    return [row for _, row in rows_by_line(path)]


def rows_by_line(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Like ``read_jsonl``, with the same errors, but each object with the number of its line."""
    for number, row, problem in numbered_rows(path):
        if row is None:
            raise ConfigError(f"{path}, line {number}: {problem}")
        yield number, row


def numbered_rows(path: str | Path) -> Iterator[tuple[int, dict[str, Any] | None, str]]:
    """Each line that is not blank: its number, its object or None, and if None the error.

    Raises ConfigError if the file cannot be read.
    """
    with open_unpacked(Path(path)) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, *object_in(line)


@contextmanager
def open_unpacked(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, or those of standard input for ``-``, unpacked, without a byte order mark.

    Raises ConfigError.
    """
    with _open_raw(path) as file, _gunzipped(file) as lines:
        try:
            yield _without_byte_order_mark(lines)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ConfigError(f"{path}: its gzip is damaged ({error})") from error


def _open_raw(path: Path) -> AbstractContextManager[BinaryIO]:
    if str(path) == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error


def _gunzipped(file: BinaryIO) -> AbstractContextManager[BinaryIO]:
    packed = cast("BufferedReader", file).peek(2)[:2] == _GZIP
    return cast("BinaryIO", gzip.open(file)) if packed else nullcontext(file)


def _without_byte_order_mark(file: BinaryIO) -> BinaryIO:
    mark = len(codecs.BOM_UTF8)
    if cast("BufferedReader", file).peek(mark)[:mark] == codecs.BOM_UTF8:
        file.read(mark)
    return file


def read_parquet(path: Path, columns: Collection[str]) -> Iterator[dict[str, Any]]:
    """The rows of a ``.parquet`` file, in order: bytes as text, maps as objects.

    Other columns than these, which may hold anything and a lot of it, are not read: they are None.
    Raises ConfigError.
    """
    with requiring_extra("parquet", "reading Parquet needs pyarrow"):
        from pyarrow import parquet, types
    try:
        file = parquet.ParquetDataset(path)
        unread = {name: None for name in file.schema.names if name not in columns}
        wanted = [name for name in file.schema.names if name in columns]
        table = _bytes_as_text(file.read(columns=wanted))
        maps = [column.name for column in table.schema if types.is_map(column.type)]
        for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
            for row in batch.to_pylist():
                row.update({name: dict(row[name]) for name in maps if row[name] is not None})
                yield {**unread, **row}
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: cannot be read (No such file or directory)") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not a Parquet file: {error}") from error


def _bytes_as_text(table: Any) -> Any:
    """The table with columns of bytes as text; some writers do not mark text as such."""
    import pyarrow as pa

    columns = [
        column.with_type(pa.string()) if _is_bytes(column.type) else column
        for column in table.schema
    ]
    return table.cast(pa.schema(columns))


def _is_bytes(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def object_in(line: bytes) -> tuple[dict[str, Any] | None, str]:
    """The line's object, or None and what is wrong with it; NaN and half characters are taken."""
    try:
        value = json.loads(line)
    except ValueError as error:
        return None, f"not JSON: {error}"
    except RecursionError:
        return None, "nested too deeply"
    if not isinstance(value, dict):
        return None, "not an object; write one object a line"
    return value, ""

"""The ledger as files: a line or a row for each request.

This module does not know the terminal.
"""

from itertools import islice
from typing import IO, Any

import orjson

from turnout.core.extras import requiring_extra
from turnout.ledger.queries import all_requests
from turnout.ledger.store import Store

_ROW_GROUP = 50_000


def export_jsonl(store: Store, sink: IO[bytes]) -> int:
    """One JSON object a line, newest first; how many were written."""
    count = 0
    for line in all_requests(store):
        sink.write(orjson.dumps(line.as_dict()) + b"\n")
        count += 1
    return count


def export_parquet(store: Store, sink: IO[bytes]) -> int:
    """A Parquet file of the same rows; how many were written.

    Raises ConfigError without pyarrow.
    """
    arrow, parquet = _pyarrow()
    schema = arrow.schema(
        [
            ("id", arrow.string()),
            ("request_id", arrow.string()),
            ("at_ms", arrow.int64()),
            ("intent", arrow.string()),
            ("model", arrow.string()),
            ("blocked", arrow.bool_()),
            ("tenant", arrow.string()),
            ("state", arrow.string()),
            ("cost_pico_usd", arrow.int64()),
            ("answered", arrow.bool_()),
            ("settled_ms", arrow.int64()),
            ("held_pico_usd", arrow.int64()),
        ]
    )
    count = 0
    with parquet.ParquetWriter(sink, schema) as writer:
        found = all_requests(store)
        while lines := list(islice(found, _ROW_GROUP)):
            rows = [line.as_dict() for line in lines]
            writer.write_table(arrow.Table.from_pylist(rows, schema=schema))
            count += len(rows)
    return count


def _pyarrow() -> tuple[Any, Any]:
    with requiring_extra("parquet", "a Parquet file needs pyarrow"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    return pa, pq

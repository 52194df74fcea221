"""Reads outcome tables from disk: the shared format, or one Parquet or JSONL file of rows.

Every problem is a ConfigError that names the file, the row and the fix.
"""

from pathlib import Path

from turnout.core import ConfigError
from turnout.evaluation.outcome_table import OutcomeTable
from turnout.evaluation.row_files import read_parquet, rows_by_line
from turnout.evaluation.table_arrays import read_arrays
from turnout.evaluation.table_checks import checked_table, join_halves
from turnout.evaluation.table_prices import with_prices
from turnout.evaluation.table_rows import COLUMNS, table_of


def read_table(path: str | Path) -> OutcomeTable:
    """The table at ``path``: a common prefix, or one ``.jsonl``, ``.jsonl.gz`` or ``.parquet``.

    Prices are those of the ``.meta.json`` beside it. Raises ConfigError where the table cannot be
    used, naming the row and the fix.
    """
    path = Path(path)
    if path.suffix == ".npz":
        path = path.with_suffix("")
    if Path(f"{path}.npz").is_file():
        table, prefix = join_halves(read_arrays(path)), str(path)
    elif path.suffix == ".parquet":
        rows = ((f"row {n}", row) for n, row in enumerate(read_parquet(path, COLUMNS), 1))
        table, prefix = table_of(path.stem, rows), str(path.with_suffix(""))
    elif path.name.endswith((".jsonl", ".jsonl.gz")):
        rows = ((f"line {n}", row) for n, row in rows_by_line(path))
        table = table_of(path.name.split(".")[0], rows)
        prefix = str(path).removesuffix(".gz").removesuffix(".jsonl")
    else:
        raise ConfigError(
            f"{path}: no table here; give the common prefix of .npz, .prompts.jsonl.gz and "
            ".meta.json, or one .parquet or .jsonl file"
        )
    return checked_table(with_prices(table, Path(f"{prefix}.meta.json")))

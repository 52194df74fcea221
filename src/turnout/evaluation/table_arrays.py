"""Reads the shared format of outcome tables: arrays and prompts in two files.

They have a common prefix: ``.npz`` (ids, models, score and, where known, in_tokens, out_tokens,
cost_usd, latency_ms) and ``.prompts.jsonl.gz`` (one object a row, in the order of ids). Every
problem is a ConfigError.
"""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile

from turnout.core import ConfigError
from turnout.core.arrays import Doubles
from turnout.core.plural import many
from turnout.evaluation.outcome_table import OutcomeTable
from turnout.evaluation.row_files import read_jsonl
from turnout.evaluation.table_checks import counted_tokens
from turnout.evaluation.table_rows import FIELDS

_ARRAYS = {
    "in_tokens": "input_tokens",
    "out_tokens": "output_tokens",
    "cost_usd": "cost_usd",
    "latency_ms": "latency_ms",
}


def read_arrays(prefix: Path) -> OutcomeTable:
    """The table of the files with this prefix, without prices. Raises ConfigError."""
    rows = read_jsonl(f"{prefix}.prompts.jsonl.gz")
    arrays = _arrays(Path(f"{prefix}.npz"))
    models = tuple(str(model) for model in arrays["models"])
    shape = (len(rows), len(models))
    _check_order(prefix, rows, [str(i) for i in arrays["ids"]])
    grids: dict[str, Any] = {}
    for name in ("score", *_ARRAYS):
        if name in arrays:
            grids[_ARRAYS.get(name, name)] = _grid(prefix, name, arrays[name], shape)
    for name in ("input_tokens", "output_tokens"):
        if name in grids:
            grids[name] = counted_tokens(grids[name])
    extra = sorted(set(arrays) - {"ids", "models", "score", *_ARRAYS})
    extra += sorted(set().union(*rows).difference(FIELDS))
    return OutcomeTable(
        name=prefix.name,
        prompts=tuple(rows),
        models=models,
        notes=(f"ignored columns: {', '.join(extra)}",) if extra else (),
        **grids,
    )


def _arrays(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file, NpzFile(file, allow_pickle=False) as stored:
            arrays = {name: _plain(path, stored, name) for name in stored.files}
    except (OSError, EOFError, ValueError, BadZipFile, zlib.error) as error:
        raise ConfigError(f"{path}: not a plain .npz file: {error}") from error
    for name in ("ids", "models", "score"):
        if name not in arrays:
            raise ConfigError(f"{path}: no {name}; it must hold ids, models and score")
    for name, what in (("ids", "row"), ("models", "column")):
        if arrays[name].ndim != 1:
            raise ConfigError(
                f"{path}: {name} has shape {arrays[name].shape}; write a list, one name a {what}"
            )
    return arrays


def _plain(path: Path, stored: Mapping[str, Any], name: str) -> Any:
    """The array, with text that was saved as bytes decoded."""
    try:
        array = stored[name]
        return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
    except ValueError as error:
        raise ConfigError(
            f"{path}: {name} holds Python objects, or is damaged; save it as plain text or "
            "numbers, as astype(str) and astype(float) make them"
        ) from error


def _grid(prefix: Path, name: str, array: Any, shape: tuple[int, int]) -> Doubles:
    if array.shape != shape:
        raise ConfigError(
            f"{prefix}.npz: {name} has shape {array.shape}, the prompts and models make {shape}; "
            "write one row a prompt and one column a model"
        )
    # Text may hold numbers, but a complex number must not lose its imaginary part.
    casting: Literal["unsafe", "same_kind"] = "unsafe" if array.dtype.kind == "U" else "same_kind"
    try:
        return np.asarray(array.astype(np.float64, casting=casting))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{prefix}.npz: {name} holds no numbers: {error}") from error


def _check_order(prefix: Path, rows: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> None:
    if len(rows) != len(ids):
        raise ConfigError(
            f"{prefix}: {many(len(rows), 'prompt')} but {many(len(ids), 'row')} of scores; "
            "write both from the same list"
        )
    for number, (row, wanted) in enumerate(zip(rows, ids, strict=True), 1):
        if row.get("id") is None:
            raise ConfigError(f"{prefix}, row {number}: no id; give it the scores', {wanted!r}")
        if str(row["id"]) != wanted:
            raise ConfigError(
                f"{prefix}, row {number}: prompt {row['id']!r} but scores of {wanted!r}; "
                "write both in the same order"
            )

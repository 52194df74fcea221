"""Reads outcome tables from disk: the shared format, or one Parquet or JSONL file.

The shared format is three files with a common prefix: ``.npz`` (ids, models, score and, where
known, in_tokens, out_tokens, cost_usd, latency_ms), ``.prompts.jsonl.gz`` (one object a row, in the
order of ids) and ``.meta.json`` (price_per_mtok). One file holds a row an outcome
(``id, prompt, model, score``), a row a prompt (``id, prompt, score: {model: s}``), or a row a
comparison (``id, prompt, model_a, model_b, winner``). In place of ``score`` (0..1) an outcome may
have ``passed`` (a test's true or false), ``rating`` (a user's 1..5) or ``judge`` (a model's 1..10).

Every problem is a ConfigError that names the file, the row and the fix.
"""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from turnout.core import ConfigError
from turnout.evaluation.outcome_table import Floats, OutcomeTable
from turnout.features.prompt import request_text

_ARRAYS = {
    "in_tokens": "input_tokens",
    "out_tokens": "output_tokens",
    "cost_usd": "cost_usd",
    "latency_ms": "latency_ms",
}
_FIELDS = ("id", "prompt", "query", "messages", "functions", "task", "bucket", "split")
_CELLS = ("input_tokens", "output_tokens", "cost_usd", "latency_ms")
# Other names for an outcome's score, with the lowest and the highest value.
_SCALES: Mapping[str, tuple[float, float]] = {"passed": (0, 1), "rating": (1, 5), "judge": (1, 10)}
_LONG = {"model", "score", *_CELLS, *_SCALES}
_PAIR = {"model_a", "model_b", "winner"}


def read_table(path: str | Path) -> OutcomeTable:
    """The table at ``path``: a common prefix, or one ``.jsonl``, ``.jsonl.gz`` or ``.parquet``.

    Raises ConfigError where the table cannot be used, naming the row and the fix.
    """
    path = Path(path)
    if path.suffix == ".npz":
        path = path.with_suffix("")
    if Path(f"{path}.npz").is_file():
        return checked(join_halves(_read_arrays(path)))
    if path.suffix == ".parquet":
        return checked(_from_records(path.stem, _parquet_rows(path)))
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return checked(_from_records(path.name.split(".")[0], read_jsonl(path)))
    raise ConfigError(
        f"{path}: no table here; give the common prefix of .npz, .prompts.jsonl.gz and .meta.json, "
        "or one .parquet or .jsonl file"
    )


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


def checked(table: OutcomeTable) -> OutcomeTable:
    """The table itself when something can be learned from it; otherwise raises ConfigError."""
    where = f"table {table.name}"
    if not table.prompts:
        raise ConfigError(f"{where}: no rows; give at least a few prompts with scores")
    if np.isnan(table.score).all():
        raise ConfigError(f"{where}: no scores; fill the score column with 0..1")
    if len(table.models) < 2:
        raise ConfigError(
            f"{where}: one model ({table.models[0]}); a choice needs outcomes of at least 2"
        )
    _check_unique(table.ids, f"{where}: duplicate id", "give every prompt its own id")
    _check_unique(table.models, f"{where}: duplicate model", "name every column once")
    low, high = float(np.nanmin(table.score)), float(np.nanmax(table.score))
    if low < 0 or high > 1:
        row = int(np.argwhere((table.score < 0) | (table.score > 1))[0, 0])
        raise ConfigError(
            f"{where}, row {row} ({table.ids[row]}): a score outside 0..1; rescale the scores"
        )
    if low == high:
        raise ConfigError(
            f"{where}: no variance, every score is {low:g}; add rows where the models differ"
        )
    return table


def join_halves(table: OutcomeTable) -> OutcomeTable:
    """The table with rows of one id and one text joined where no outcome is told twice.

    Raises ConfigError naming both rows where an id stands for two prompts or two outcomes.
    """
    first: dict[str, int] = {}
    halves: dict[int, int] = {}
    for row, key in enumerate(table.ids):
        if first.setdefault(key, row) != row:
            halves[row] = first[key]
    if not halves:
        return table
    score, cells = table.score.copy(), _cells(table)
    for row, kept in halves.items():
        told_twice = ~np.isnan(score[row]) & ~np.isnan(score[kept])
        if told_twice.any() or request_text(table.prompts[row]) != request_text(
            table.prompts[kept]
        ):
            raise ConfigError(
                f"table {table.name}: duplicate id {table.ids[row]!r} in rows {kept} and {row}; "
                "give every prompt its own id"
            )
        answered = ~np.isnan(score[row])
        score[kept, answered] = score[row, answered]
        for grid in cells.values():
            grid[kept, answered] = grid[row, answered]
    keep = [row for row in range(len(table.prompts)) if row not in halves]
    note = f"joined {len(halves)} rows with the other half of their outcomes"
    changes: dict[str, Any] = dict(cells)
    joined = replace(table, score=score, notes=(*table.notes, note), **changes)
    return joined.rows(keep)


def _cells(table: OutcomeTable) -> dict[str, Floats]:
    grids = {name: getattr(table, name) for name in _CELLS}
    return {name: grid.copy() for name, grid in grids.items() if grid is not None}


def _read_arrays(prefix: Path) -> OutcomeTable:
    rows = read_jsonl(f"{prefix}.prompts.jsonl.gz")
    arrays = _arrays(Path(f"{prefix}.npz"))
    meta = _meta(Path(f"{prefix}.meta.json"))
    models = tuple(str(model) for model in arrays["models"])
    shape = (len(rows), len(models))
    _check_order(prefix, rows, [str(i) for i in arrays["ids"]])
    grids: dict[str, Any] = {}
    for name in ("score", *_ARRAYS):
        if name in arrays:
            grids[_ARRAYS.get(name, name)] = _grid(prefix, name, arrays[name], shape)
    for name in ("input_tokens", "output_tokens"):
        # Token columns are integers: a zero in them means that nobody counted.
        if name in grids:
            grids[name] = np.where(grids[name] > 0, grids[name], np.nan)
    extra = sorted(set(arrays) - {"ids", "models", "score", *_ARRAYS})
    table = OutcomeTable(
        name=prefix.name,
        prompts=tuple(rows),
        models=models,
        prices={m: (float(p[0]), float(p[1])) for m, p in meta.items()},
        notes=(f"ignored arrays: {', '.join(extra)}",) if extra else (),
        **grids,
    )
    return _with_costs(table)


def _arrays(path: Path) -> Mapping[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not a plain .npz file: {error}") from error
    for name in ("ids", "models", "score"):
        if name not in arrays:
            raise ConfigError(f"{path}: no {name}; it must hold ids, models and score")
    return arrays


def _meta(path: Path) -> Mapping[str, Sequence[float]]:
    if not path.is_file():
        return {}
    try:
        prices = json.loads(path.read_text(encoding="utf-8")).get("price_per_mtok")
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: not a JSON object: {error}") from error
    return prices or {}


def _grid(prefix: Path, name: str, array: Any, shape: tuple[int, int]) -> Floats:
    if array.shape != shape:
        raise ConfigError(
            f"{prefix}.npz: {name} has shape {array.shape}, the prompts and models make {shape}; "
            "write one row a prompt and one column a model"
        )
    return np.asarray(array, dtype=np.float64)


def _check_order(prefix: Path, rows: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> None:
    if len(rows) != len(ids):
        raise ConfigError(
            f"{prefix}: {len(rows)} prompts but {len(ids)} rows of scores; write both from the "
            "same list"
        )
    for number, (row, wanted) in enumerate(zip(rows, ids, strict=True)):
        if str(row.get("id")) != wanted:
            raise ConfigError(
                f"{prefix}, row {number}: prompt {row.get('id')!r} but scores of {wanted!r}; "
                "write both in the same order"
            )


def _with_costs(table: OutcomeTable) -> OutcomeTable:
    """Costs from list prices and tokens, where the table has both and no costs of its own."""
    if table.cost_usd is not None or table.input_tokens is None or table.output_tokens is None:
        return table
    if not table.prices:
        return table
    nothing = (np.nan, np.nan)
    prices = np.array([table.prices.get(m, nothing) for m in table.models]) / 1e6
    cost = table.input_tokens * prices[:, 0] + table.output_tokens * prices[:, 1]
    return replace(table, cost_usd=cost)


@dataclass
class _Builder:
    """Collects outcomes one at a time into grids."""

    name: str
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: dict[str, int] = field(default_factory=dict)
    cells: dict[str, dict[tuple[str, str], float]] = field(default_factory=dict)
    compared: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    extra: set[str] = field(default_factory=set)

    def key(self, where: str, row: Mapping[str, Any]) -> str:
        """The row's id, else its text; the row is known from now on."""
        text = request_text(row)
        if row.get("id") is None and not text.text:
            raise ConfigError(f"{where}: neither id nor prompt; give every outcome its prompt")
        key = str(row["id"]) if row.get("id") is not None else text.text
        kept = {"id": key, **{k: row[k] for k in _FIELDS[1:] if k in row}}
        known = self.rows.setdefault(key, kept)
        if text.text and request_text(known) != text:
            raise ConfigError(
                f"{where}: duplicate id {key!r} with another prompt; give every prompt its own id"
            )
        return key

    def compare(self, where: str, row: Mapping[str, Any], model: str, score: float) -> None:
        """One side of a comparison; a model that was compared more than once has its mean."""
        key = self.key(where, row)
        self.models.setdefault(str(model), len(self.models))
        self.extra |= set(row) - set(_FIELDS) - _PAIR
        self.compared.setdefault((key, str(model)), []).append(score)

    def put(self, where: str, row: Mapping[str, Any], model: str, **values: Any) -> None:
        """One outcome."""
        key = self.key(where, row)
        self.models.setdefault(str(model), len(self.models))
        self.extra |= set(row) - set(_FIELDS) - _LONG - _PAIR
        for name, value in values.items():
            if value is None:
                continue
            cells = self.cells.setdefault(name, {})
            if (key, str(model)) in cells:
                raise ConfigError(
                    f"{where}: duplicate outcome of {model} for id {key!r}; give every prompt its "
                    "own id and each model one outcome"
                )
            cells[key, str(model)] = _number(where, name, value)

    def table(self) -> OutcomeTable:
        """The table of all that was told."""
        for cell, scores in self.compared.items():
            self.cells.setdefault("score", {}).setdefault(cell, sum(scores) / len(scores))
        if "score" not in self.cells:
            raise ConfigError(f"table {self.name}: no scores; fill the score column with 0..1")
        grids: dict[str, Any] = {n: self._grid(cells) for n, cells in self.cells.items()}
        note = f"ignored columns: {', '.join(sorted(self.extra))}"
        return OutcomeTable(
            name=self.name,
            prompts=tuple(self.rows.values()),
            models=tuple(self.models),
            notes=(note,) if self.extra else (),
            **grids,
        )

    def _grid(self, cells: Mapping[tuple[str, str], float]) -> Floats:
        place = {key: number for number, key in enumerate(self.rows)}
        grid = np.full((len(self.rows), len(self.models)), np.nan)
        for (key, model), value in cells.items():
            grid[place[key], self.models[model]] = value
        return grid


def _from_records(name: str, records: Iterable[Mapping[str, Any]]) -> OutcomeTable:
    builder = _Builder(name)
    for number, row in enumerate(records, 1):
        where = f"{name}, row {number}"
        if set(row) >= _PAIR:
            for model, score in _comparison(where, row):
                builder.compare(where, row, model, score)
            continue
        for model, values in _outcomes(where, row):
            builder.put(where, row, model, **values)
    return builder.table()


def _outcomes(where: str, row: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    told = [name for name in ("score", *_SCALES) if name in row]
    if not told:
        raise ConfigError(
            f"{where}: no score; give score, {', '.join(_SCALES)}, or model_a, model_b and winner"
        )
    name, value = told[0], row[told[0]]
    if isinstance(value, Mapping):
        for model in value:
            cells = {n: row[n].get(model) for n in _CELLS if isinstance(row.get(n), Mapping)}
            yield model, {"score": _scaled(where, name, value[model]), **cells}
    elif "model" in row:
        cells = {n: row.get(n) for n in _CELLS}
        yield row["model"], {"score": _scaled(where, name, value), **cells}
    else:
        raise ConfigError(f"{where}: a score without a model; name the model that was scored")


def _scaled(where: str, name: str, value: Any) -> Any:
    """A value of one of the scales as a score in 0..1; None stays a missing cell."""
    if name == "score" or value is None:
        return value
    low, high = _SCALES[name]
    number = _number(where, name, value)
    if not low <= number <= high:
        raise ConfigError(f"{where}: {name} is {value!r}; use {low:g} to {high:g}")
    return (number - low) / (high - low)


def _comparison(where: str, row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """A pairwise verdict as scores: the winner 1, the loser 0, a tie one half each."""
    a, b, winner = row["model_a"], row["model_b"], row["winner"]
    if winner in ("model_a", a):
        scores = (1.0, 0.0)
    elif winner in ("model_b", b):
        scores = (0.0, 1.0)
    elif winner in ("tie", None):
        scores = (0.5, 0.5)
    else:
        raise ConfigError(f"{where}: winner {winner!r}; use model_a, model_b or tie")
    yield a, scores[0]
    yield b, scores[1]


def _number(where: str, name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{where}: {name} is {value!r}; use a number") from None


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
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


def _check_unique(names: Sequence[str], problem: str, fix: str) -> None:
    seen: dict[str, int] = {}
    for row, name in enumerate(names):
        if name in seen:
            raise ConfigError(f"{problem} {name!r} in rows {seen[name]} and {row}; {fix}")
        seen[name] = row

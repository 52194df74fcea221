"""Makes an outcome table of rows, each of which has one or more outcomes.

A row has an outcome (``id, prompt, model, score``), all of a prompt (``id, prompt,
score: {model: s}``), or a comparison (``id, prompt, model_a, model_b, winner``). In place of
``score`` (0..1) an outcome may have ``passed`` (a test's true or false), ``rating`` (a user's 1..5)
or ``judge`` (a model's 1..10). Every problem is a ConfigError that names the row and the fix.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isnan
from typing import Any

import numpy as np

from turnout.core import ConfigError
from turnout.core.arrays import Doubles
from turnout.evaluation.outcome_table import OutcomeTable
from turnout.evaluation.table_checks import CELLS, MOST, counted_tokens
from turnout.features.prompt import row_text

# What a prompt may say of itself; after its text and tools for evaluation only.
FIELDS = (
    "id", "prompt", "query", "messages", "functions", "task", "bucket", "split", "cluster_id",
)  # fmt: skip
# Other names for an outcome's score, with the lowest and the highest value.
_SCALES: Mapping[str, tuple[float, float]] = {"passed": (0, 1), "rating": (1, 5), "judge": (1, 10)}
_SCORE = (0.0, 1.0)
_PROMPT_FIELDS = {"prompt", "query", "messages"}
# The shared format's names for the columns of tokens.
_SHORT_NAMES = {"input_tokens": "in_tokens", "output_tokens": "out_tokens"}
_OUTCOME_FIELDS = {"model", "score", *CELLS, *_SCALES, *_SHORT_NAMES.values()}
_COMPARISON_FIELDS = {"model_a", "model_b", "winner"}
# All that is read of a row.
COLUMNS = {*FIELDS, *_OUTCOME_FIELDS, *_COMPARISON_FIELDS}
# The score of both models in a comparison that none of them won.
_TIES = {"tie": 0.5, "tie (bothbad)": 0.0}


def table_of(name: str, records: Iterable[tuple[str, Mapping[str, Any]]]) -> OutcomeTable:
    """The table called ``name`` of all records, each given with its place.

    Raises ConfigError.
    """
    builder = _Builder(name)
    for place, row in records:
        where = f"{name}, {place}"
        if set(row) >= _COMPARISON_FIELDS:
            for model, score in _comparison(where, row):
                builder.add_comparison(where, row, model, score)
            continue
        outcomes = list(_outcomes(where, row))
        for model, values in outcomes:
            builder.add_outcome(where, row, model, **values)
        if not outcomes:
            builder.add_row(where, row)
    return builder.table()


@dataclass
class _Builder:
    """Collects outcomes one at a time into grids."""

    name: str
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: dict[str, int] = field(default_factory=dict)
    cells: dict[str, dict[tuple[str, str], float]] = field(default_factory=dict)
    compared: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    extra: set[str] = field(default_factory=set)
    without_text: dict[str, str] = field(default_factory=dict)

    def add_row(self, where: str, row: Mapping[str, Any]) -> str:
        """Adds the row, and returns its id, else its text."""
        text = row_text(row)
        if row.get("id") is None and not text.text:
            raise ConfigError(f"{where}: neither id nor prompt; give every outcome its prompt")
        key = str(row["id"]) if row.get("id") is not None else text.text
        kept = {"id": key, **{k: row[k] for k in FIELDS[1:] if k in row}}
        known = self.rows.setdefault(key, kept)
        if not text.text:
            self.without_text.setdefault(key, where)
        elif key in self.without_text and not row_text(known).text:
            self.rows[key] = kept
        elif row_text(known) != text:
            raise ConfigError(
                f"{where}: duplicate id {key!r} with another prompt; give every prompt its own id"
            )
        return key

    def add_comparison(
        self, where: str, row: Mapping[str, Any], model: str, score: float | None
    ) -> None:
        """One side of a comparison; a model that was compared more than once has its mean."""
        key = self.add_row(where, row)
        self._add_model(where, model)
        self.extra |= set(row) - set(FIELDS) - _COMPARISON_FIELDS
        if score is not None:
            self.compared.setdefault((key, str(model)), []).append(score)

    def add_outcome(self, where: str, row: Mapping[str, Any], model: str, **values: Any) -> None:
        """One outcome; of two of a cell, which is a prompt's at a model, only one has a score."""
        cell = (self.add_row(where, row), str(model))
        self._add_model(where, model)
        self.extra |= set(row) - COLUMNS
        known = {
            name: amount_in(where, name, value) if name in CELLS else value
            for name, value in values.items()
            if value is not None
        }
        known = {name: number for name, number in known.items() if not isnan(number)}
        scored = "score" in known
        if scored and cell in self.cells.get("score", {}):
            raise ConfigError(
                f"{where}: duplicate outcome of {model} for id {cell[0]!r}; give every prompt its "
                "own id and each model one outcome"
            )
        for name, number in known.items():
            cells = self.cells.setdefault(name, {})
            cells[cell] = number if scored else cells.get(cell, number)

    def _add_model(self, where: str, model: Any) -> None:
        """Adds a column for the model if there is none."""
        if not isinstance(model, str | int) or not str(model).strip():
            raise ConfigError(f"{where}: a score of a model without a name; name the model")
        self.models.setdefault(str(model), len(self.models))

    def table(self) -> OutcomeTable:
        """The table of all that was added."""
        for cell, scores in self.compared.items():
            self.cells.setdefault("score", {}).setdefault(cell, sum(scores) / len(scores))
        for key, where in self.without_text.items():
            if not _PROMPT_FIELDS & set(self.rows[key]):
                raise ConfigError(f"{where}: id {key!r} has no prompt in any row; give its prompt")
        grids: dict[str, Any] = {n: self._grid(c) for n, c in {"score": {}, **self.cells}.items()}
        for name in _SHORT_NAMES.keys() & grids.keys():
            grids[name] = counted_tokens(grids[name])
        note = f"ignored columns: {', '.join(sorted(self.extra))}"
        return OutcomeTable(
            name=self.name,
            prompts=tuple(self.rows.values()),
            models=tuple(self.models),
            notes=(note,) if self.extra else (),
            **grids,
        )

    def _grid(self, cells: Mapping[tuple[str, str], float]) -> Doubles:
        place = {key: number for number, key in enumerate(self.rows)}
        grid = np.full((len(self.rows), len(self.models)), np.nan)
        for (key, model), value in cells.items():
            grid[place[key], self.models[model]] = value
        return grid


def score_in(where: str, row: Mapping[str, Any]) -> float | None:
    """The row's one score, on any of the scales, as 0..1; None if it is missing.

    Raises ConfigError.
    """
    score = _scaled(where, *_scale_and_value(where, row))
    return None if score is None or np.isnan(score) else score


def amount_in(where: str, name: str, value: Any) -> float:
    """A count, a cost or a time as a number from 0 to MOST; NaN is unknown. Raises ConfigError."""
    number = _number(where, name, value)
    if number < 0 or number > MOST:
        raise ConfigError(f"{where}: {name} is {value!r}; use a number from 0 to {MOST:g}")
    return number


def _scale_and_value(where: str, row: Mapping[str, Any]) -> tuple[str, Any]:
    """The first of the scales on which the row has a value, else any that it has."""
    names = [name for name in ("score", *_SCALES) if name in row]
    if not names:
        raise ConfigError(
            f"{where}: no score; give score, {', '.join(_SCALES)}, or model_a, model_b and winner"
        )
    name = next((name for name in names if row[name] is not None), names[0])
    return name, row[name]


def _outcomes(where: str, row: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    name, value = _scale_and_value(where, row)
    short = {name: row.get(_SHORT_NAMES.get(name, name)) for name in CELLS}
    cells = {name: short[name] if row.get(name) is None else row[name] for name in CELLS}
    if isinstance(value, Mapping):
        for column, cell in cells.items():
            alone = not isinstance(cell, Mapping | None)
            if alone and not np.isnan(_number(where, column, cell)):
                raise ConfigError(
                    f"{where}: {column} is {cell!r}, but the scores are by model; write it by "
                    "model, too: {model: value}"
                )
        for model in value:
            own = {n: cell.get(model) for n, cell in cells.items() if isinstance(cell, Mapping)}
            yield model, {"score": _scaled(where, name, value[model]), **own}
    elif row.get("model") not in (None, ""):
        yield row["model"], {"score": _scaled(where, name, value), **cells}
    elif value is not None:
        raise ConfigError(f"{where}: a score without a model; name the model that was scored")


def _scaled(where: str, name: str, value: Any) -> float | None:
    """A value of one of the scales as a score in 0..1; None and NaN stay a missing cell."""
    if value is None:
        return value
    low, high = _SCALES.get(name, _SCORE)
    number = _number(where, name, value)
    if np.isnan(number):
        return number
    if not low <= number <= high:
        raise ConfigError(f"{where}: {name} is {value!r}; use {low:g} to {high:g}")
    return (number - low) / (high - low)


def _comparison(where: str, row: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """A pairwise verdict as scores: the winner 1, the loser 0, a tie one half each, else None.

    ``tie (bothbad)``, as LMSYS' tables have it, is 0 for both.
    """
    a, b, winner = row["model_a"], row["model_b"], row["winner"]
    scores: tuple[float | None, float | None]
    if winner is None or winner != winner:  # noqa: PLR0124  (NaN)
        scores = (None, None)
    elif winner in ("model_a", a):
        scores = (1.0, 0.0)
    elif winner in ("model_b", b):
        scores = (0.0, 1.0)
    elif isinstance(winner, str) and winner in _TIES:
        scores = (_TIES[winner], _TIES[winner])
    else:
        accepted = f"model_a, model_b, {' or '.join(_TIES)}"
        raise ConfigError(f"{where}: winner {winner!r}; use {accepted}")
    yield a, scores[0]
    yield b, scores[1]


def _number(where: str, name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        fix = "true or false" if name == "passed" else "a number"
        raise ConfigError(f"{where}: {name} is {value!r}; use {fix}") from None

"""The outcome table: prompts x models -> score, tokens, cost and latency.

Invariant: rows are prompts in file order, columns are models by exact name; a missing cell is NaN
and never a wrong answer. This module does not know predictors or policies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from turnout.core import ConfigError
from turnout.core.arrays import Doubles
from turnout.core.plural import many


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeTable:
    """How well each model answered each prompt, and at which cost.

    ``prompts`` holds each row's JSON object; ``score`` is ``[n, m]`` in 0..1 with NaN for a missing
    cell; ``input_tokens``, ``output_tokens``, ``cost_usd`` and ``latency_ms`` have the same shape
    with NaN where unknown, or are None; ``notes`` says what was ignored while reading.
    """

    name: str
    prompts: tuple[Mapping[str, Any], ...]
    models: tuple[str, ...]
    score: Doubles
    input_tokens: Doubles | None = None
    output_tokens: Doubles | None = None
    cost_usd: Doubles | None = None
    latency_ms: Doubles | None = None
    prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> list[str]:
        """The rows' ids."""
        return [str(prompt["id"]) for prompt in self.prompts]

    def column(self, name: str) -> list[Any]:
        """A field of every prompt, None if a row lacks it; for evaluation only."""
        return [prompt.get(name) for prompt in self.prompts]

    def rows(self, chosen: npt.NDArray[Any] | Sequence[int]) -> "OutcomeTable":
        """The table of some rows, by index or mask."""
        index = np.arange(len(self.prompts))[np.asarray(chosen)]
        return self._part(prompts=tuple(self.prompts[i] for i in index), where=(index, slice(None)))

    def columns(self, models: Sequence[str]) -> "OutcomeTable":
        """The table of some models, in the order given. Raises ConfigError for an unknown one."""
        if missing := [model for model in models if model not in self.models]:
            known = ", ".join(self.models)
            raise ConfigError(f"table {self.name} has no {', '.join(missing)}; it has {known}")
        index = [self.models.index(model) for model in models]
        part = self._part(prompts=self.prompts, where=(slice(None), index))
        return replace(part, models=tuple(models))

    def priced(self) -> "OutcomeTable":
        """The rows and models with all costs and scores known, on which cost figures are computed.

        Raises ConfigError if fewer than two models are left.
        """
        if self.cost_usd is None:
            raise ConfigError(
                f"table {self.name} has no costs: add cost_usd, or tokens and price_per_mtok in "
                f"{self.name}.meta.json"
            )
        known = self._models_with_any(~np.isnan(self.cost_usd))
        if len(known) < 2:
            raise ConfigError(f"table {self.name} prices {len(known)} models: at least 2 needed")
        kept = self.columns(known)
        assert kept.cost_usd is not None  # noqa: S101 - narrows the type, checked above
        whole = ~(np.isnan(kept.score) | np.isnan(kept.cost_usd)).any(axis=1)
        return kept.rows(np.flatnonzero(whole))

    def answered(self) -> "OutcomeTable":
        """The models and prompts that have any score, with a note if some have none."""
        known = ~np.isnan(self.score)
        rows, models = np.flatnonzero(known.any(axis=1)), self._models_with_any(known)
        left = [model for model in self.models if model not in models]
        empty = len(self.prompts) - len(rows)
        if empty:
            left.append(many(empty, "prompt"))
        if not left:
            return self
        kept = self.rows(rows).columns(models)
        note = f"left out, without any score: {', '.join(left)}"
        return replace(kept, notes=(*self.notes, note))

    def costed(self, *, unpriced: bool = False) -> "OutcomeTable":
        """The table with comparable costs, with a note if something is left out or assumed.

        Models without any cost are left out, unless ``unpriced``. If fewer than two models have
        costs, the table has none. A single unknown cost counts as the mean of its model's known
        ones.
        """
        if self.cost_usd is None:
            return self
        models = self._models_with_any(~np.isnan(self.cost_usd))
        if len(models) < 2:
            note = "costs of fewer than two models: none are compared"
            return replace(self, cost_usd=None, notes=(*self.notes, note))
        left = len(self.models) - len(models)
        if unpriced or not left:
            return _with_mean_costs(self)
        kept = self.columns(models)
        note = f"left out, without costs: {many(left, 'model')}; --unpriced keeps what has none"
        return _with_mean_costs(replace(kept, notes=(*self.notes, note)))

    def _models_with_any(self, cells: npt.NDArray[np.bool_]) -> list[str]:
        """The models that have any of the cells ``[n, m]``."""
        return [model for j, model in enumerate(self.models) if cells[:, j].any()]

    def _part(
        self, *, prompts: tuple[Mapping[str, Any], ...], where: tuple[Any, Any]
    ) -> "OutcomeTable":
        grids: dict[str, Any] = {
            name: None if (grid := getattr(self, name)) is None else grid[where]
            for name in ("score", "input_tokens", "output_tokens", "cost_usd", "latency_ms")
        }
        return replace(self, prompts=prompts, **grids)


def _with_mean_costs(table: OutcomeTable) -> OutcomeTable:
    """The costs, with every unknown cost of an answer as the mean of its model's known ones."""
    cost, answers = table.cost_usd, ~np.isnan(table.score)
    assert cost is not None  # noqa: S101 - narrows the type; only a table with costs comes here
    means = known_means(cost)
    unknown = np.isnan(cost) & answers & ~np.isnan(means)
    if not unknown.any():
        return table
    note = (
        f"{int(unknown.sum()):,} of {int(answers.sum()):,} costs are unknown: each counts as the "
        "mean of its model's known ones"
    )
    cost = np.where(unknown, means, cost)
    return replace(table, cost_usd=cost, notes=(*table.notes, note))


def known_means(grid: Doubles) -> Doubles:
    """Each column's mean over its known cells, NaN if it has none."""
    known = ~np.isnan(grid)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, grid, 0.0).sum(axis=0) / known.sum(axis=0))

"""The outcome table: prompts x models -> score, tokens, cost and latency.

Invariant: rows are prompts in file order, columns are models by exact name; a missing cell is NaN
and never a wrong answer. This module does not know predictors or policies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from turnout.core import ConfigError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeTable:
    """Which model answered which prompt how well, at what cost.

    ``prompts`` holds each row's JSON object; ``score`` is ``[n, m]`` in 0..1 with NaN for a missing
    cell; ``input_tokens``, ``output_tokens``, ``cost_usd`` and ``latency_ms`` have the same shape
    with NaN where unknown, or are None; ``notes`` says what was ignored while reading.
    """

    name: str
    prompts: tuple[Mapping[str, Any], ...]
    models: tuple[str, ...]
    score: Floats
    input_tokens: Floats | None = None
    output_tokens: Floats | None = None
    cost_usd: Floats | None = None
    latency_ms: Floats | None = None
    prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> list[str]:
        """The rows' ids."""
        return [str(prompt["id"]) for prompt in self.prompts]

    def column(self, name: str) -> list[Any]:
        """A field of every prompt, None where a row has none; for evaluation only."""
        return [prompt.get(name) for prompt in self.prompts]

    def rows(self, chosen: npt.NDArray[Any] | Sequence[int]) -> "OutcomeTable":
        """The table of some rows, by index or mask."""
        index = np.arange(len(self.prompts))[np.asarray(chosen)]
        return self._cut(prompts=tuple(self.prompts[i] for i in index), where=(index, slice(None)))

    def columns(self, models: Sequence[str]) -> "OutcomeTable":
        """The table of some models, in the order given."""
        index = [self.models.index(model) for model in models]
        cut = self._cut(prompts=self.prompts, where=(slice(None), index))
        return _replace(cut, models=tuple(models))

    def priced(self) -> "OutcomeTable":
        """Rows and models whose costs and scores are all known: what cost figures are taken on.

        Raises ConfigError where that leaves fewer than two models.
        """
        if self.cost_usd is None:
            raise ConfigError(f"table {self.name} has no costs: add cost_usd, or tokens and prices")
        known = [
            m for m, j in zip(self.models, range(len(self.models)), strict=True)
            if not np.isnan(self.cost_usd[:, j]).all()
        ]  # fmt: skip
        if len(known) < 2:
            raise ConfigError(f"table {self.name} prices {len(known)} models: at least 2 needed")
        kept = self.columns(known)
        assert kept.cost_usd is not None  # noqa: S101 - narrows the type, checked above
        whole = ~(np.isnan(kept.score) | np.isnan(kept.cost_usd)).any(axis=1)
        return kept.rows(np.flatnonzero(whole))

    def answered(self) -> "OutcomeTable":
        """The models that have any score, with a note where some have none."""
        missing = np.isnan(self.score)
        kept = [model for j, model in enumerate(self.models) if not missing[:, j].all()]
        if len(kept) == len(self.models):
            return self
        left = [model for model in self.models if model not in kept]
        note = f"left out, without any score: {', '.join(left)}"
        return _replace(self.columns(kept), notes=(*self.notes, note))

    def _cut(
        self, *, prompts: tuple[Mapping[str, Any], ...], where: tuple[Any, Any]
    ) -> "OutcomeTable":
        grids = {
            name: None if (grid := getattr(self, name)) is None else grid[where]
            for name in ("score", "input_tokens", "output_tokens", "cost_usd", "latency_ms")
        }
        return _replace(self, prompts=prompts, **grids)


def _replace(table: OutcomeTable, **changes: Any) -> OutcomeTable:
    from dataclasses import replace

    return replace(table, **changes)

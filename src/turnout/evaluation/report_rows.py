"""Rows of an evaluation: replayed policies, and the bounds of a router on both sides."""

from collections.abc import Mapping, Sequence

import numpy as np

from turnout.core.arrays import Doubles, Ints
from turnout.evaluation import baselines, metrics
from turnout.evaluation.driver import Replayed
from turnout.evaluation.outcome_table import OutcomeTable, known_means
from turnout.evaluation.report import Figure, Row

DRAWS = 200


class RowMaker:
    """Makes the rows of one table's report; all use the same resampling."""

    def __init__(self, table: OutcomeTable) -> None:
        self._table = table
        count = len(table.prompts)
        every = np.arange(count)[None, :]
        drawn = np.random.default_rng(0).integers(0, count, (DRAWS, count))
        # The original rows come first, so that figures and intervals are computed alike.
        self._draws = np.concatenate([every, drawn])
        self._qualities = np.stack([known_means(table.score[i]) for i in self._draws])
        self._prices, self._latencies = (
            None if grid is None else np.stack([known_means(grid[i]) for i in self._draws])
            for grid in (table.cost_usd, table.latency_ms)
        )
        self._best = metrics.best_single(
            self._qualities[0], None if self._prices is None else self._prices[0]
        )
        self._top = baselines.oracle(table.score).max(axis=1)

    @property
    def best_model(self) -> str:
        """The best single model; among equals the cheapest."""
        return self._table.models[self._best]

    @property
    def dearest_note(self) -> str:
        """Words that name the dearest model; empty if no cost is known."""
        if self._prices is None or np.isnan(self._prices[0]).all():
            return ""
        return f"; dearest: {self._table.models[int(np.nanargmax(self._prices[0]))]}"

    def replayed_row(self, name: str, replayed: Replayed) -> Row:
        """The row of a replayed policy."""
        paid, waited = replayed.cost_usd, replayed.latency_ms
        return self._row(name, replayed.score, paid, waited, replayed.chosen)

    def baseline_rows(self, tasks: Sequence[object] | None) -> list[Row]:
        """Best single, zero router, task oracle and oracle, which bound a router on both sides."""
        table = self._table
        found = [self._best_single()]
        if self._prices is not None:
            found.append(self._zero_router(self._prices))
        if tasks is not None and any(task is not None for task in tasks):
            means = None if self._prices is None else self._prices[0]
            known = baselines.task_oracle(table.score, tasks)
            found.append(self._oracle_row("task oracle", known, means))
        return [*found, self._oracle_row("oracle", table.score, table.cost_usd)]

    def _best_single(self) -> Row:
        """The model with the best mean, on the prompts that it answered."""
        paid, waited = map(self._mean_of_best, (self._prices, self._latencies))
        picks = {self._table.models[self._best]: Figure(value=1.0, low=1.0, high=1.0)}
        return self._row_of_draws(
            "best single", self._qualities[:, self._best], paid, waited, picks
        )

    def _mean_of_best(self, means: Doubles | None) -> Doubles:
        """The mean of the best single model in each draw, NaN if unknown."""
        return np.full(len(self._draws), np.nan) if means is None else means[:, self._best]

    def _oracle_row(self, name: str, values: Doubles, prices: Doubles | None) -> Row:
        """An oracle: each row goes to the cheapest of those with its highest value.

        ``prices`` are what it knows of costs, a number for each model ``[m]`` or call ``[n, m]``.
        """
        table = self._table
        chosen, rows = self._cheapest_best(values, prices), np.arange(len(table.prompts))
        paid, waited = (
            np.full(len(rows), np.nan) if grid is None else grid[rows, chosen]
            for grid in (table.cost_usd, table.latency_ms)
        )
        return self._row(name, np.nan_to_num(table.score[rows, chosen]), paid, waited, chosen)

    def _cheapest_best(self, values: Doubles, prices: Doubles | None) -> Ints:
        # A missing outcome cannot be chosen, whatever is known about the model.
        values = np.where(np.isnan(self._table.score), -1.0, values)
        price = np.zeros(len(self._table.models)) if prices is None else prices
        # An unknown price counts as the highest, but its model may be the only one that is right.
        price = np.nan_to_num(price, nan=float(np.nanmax(price, initial=0.0)) * 1e6 + 1.0)
        top = values >= values.max(axis=1, keepdims=True) - 1e-9
        return np.asarray(np.where(top, price, np.inf).argmin(axis=1), dtype=np.int64)

    def _row(self, name: str, score: Doubles, cost: Doubles, latency: Doubles, chosen: Ints) -> Row:
        quality, paid, waited = (v[self._draws].mean(axis=1) for v in (score, cost, latency))
        picked = np.bincount(chosen[chosen >= 0], minlength=len(self._table.models))
        picks = {
            self._table.models[m]: figure_of((chosen[self._draws] == m).mean(axis=1))
            for m in np.argsort(-picked)
            if picked[m] > 0
        }
        return self._row_of_draws(name, quality, paid, waited, picks)

    def _zero_router(self, prices: Doubles) -> Row:
        """The cheapest mix of single models with 95 % of the best one's quality."""
        costs, reached = [], []
        for quality, price in zip(self._qualities, prices, strict=True):
            mixed = _mix_frontier(price, quality)
            wanted = metrics.KEPT * quality[self._best]
            costs.append(mixed.cost_at(wanted))
            # If the cheapest model alone is better than that, so is the mix.
            reached.append(max(wanted, mixed.qualities[0]))
        name = f"zero router at {metrics.KEPT:.0%}"
        unknown = np.full(len(costs), np.nan)
        return self._row_of_draws(name, np.array(reached), np.array(costs), unknown, {})

    def _row_of_draws(
        self,
        name: str,
        quality: Doubles,
        paid: Doubles,
        waited: Doubles,
        picks: Mapping[str, Figure],
    ) -> Row:
        gap = self._top[self._draws].mean(axis=1) - quality
        unknown = np.full(len(quality), np.nan)
        saved, saved_most, over = unknown, unknown, unknown
        if self._prices is not None:
            saved = metrics.saving(paid, self._prices[:, self._best])
            saved_most = metrics.saving(paid, np.nanmax(self._prices, axis=1))
            over = self._gain_over_mixing(self._prices, quality, paid)
        return Row(
            name=name,
            quality=figure_of(quality),
            usd_per_1000=figure_of(1000 * paid),
            latency_ms=figure_of(waited),
            saving_vs_best=figure_of(saved),
            saving_vs_dearest=figure_of(saved_most),
            over_mixing=figure_of(over),
            oracle_gap=figure_of(gap),
            picks=picks,
        )

    def _gain_over_mixing(self, prices: Doubles, quality: Doubles, paid: Doubles) -> Doubles:
        found = []
        for price, alone, mine, cost in zip(prices, self._qualities, quality, paid, strict=True):
            mixed = _mix_frontier(price, alone)
            at = float(np.interp(cost, mixed.costs, mixed.qualities))
            found.append(mine - at if cost >= mixed.costs[0] * (1 - 1e-9) else np.nan)
        return np.array(found)


def figure_of(values: Doubles) -> Figure:
    """The first value, with the interval of the others."""
    drawn = values[1:][~np.isnan(values[1:])]
    if np.isnan(values[0]) or not len(drawn):
        return Figure(value=float(values[0]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Figure(value=float(values[0]), low=float(low), high=float(high))


def _mix_frontier(prices: Doubles, qualities: Doubles) -> metrics.Frontier:
    known = ~(np.isnan(prices) | np.isnan(qualities))
    pairs = zip(prices[known].tolist(), qualities[known].tolist(), strict=True)
    return metrics.frontier(list(pairs))

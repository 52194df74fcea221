"""Writes a trained bundle: the predictor, a summary of the tables by model, and a model card."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from turnout.catalog import build
from turnout.classifiers.success.artefact import save
from turnout.classifiers.success.bundle import (
    CATALOGUE,
    CONFIG,
    POLICY,
    PRICES,
    replace_parts,
    write_json,
)
from turnout.classifiers.success.predictor import SuccessPredictor
from turnout.config import Config, public_settings
from turnout.core.plural import many
from turnout.evaluation.outcome_table import OutcomeTable
from turnout.training.lengths import fit_lengths

# What the catalogue says of a model, by the grid of which it is the mean.
_MEANS = {
    "quality": "score",
    "mean_cost_usd": "cost_usd",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "latency_ms": "latency_ms",
}


def write_bundle(
    predictor: SuccessPredictor,
    tables: Sequence[OutcomeTable],
    folder: Path,
    *,
    seed: int = 0,
    config: Config | None = None,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Writes the bundle into ``folder`` and returns its hash.

    With the ``config`` that will serve it, the bundle stores that too, without secrets, and the
    prices of its models. Raises ConfigError if ``folder`` cannot be written.
    """

    def write(new: Path) -> None:
        save(predictor, new, card=_card(predictor, tables, seed))
        lengths = fit_lengths(tables)
        if lengths is not None:
            lengths.save(new)
        write_json(new / CATALOGUE, catalogue(tables))
        if config is not None:
            write_json(new / CONFIG, public_settings(config))
            write_json(new / PRICES, _prices(config, environ or {}))
        write_json(new / POLICY, {"name": "cheapest_above_quality", "quality": 0.95})

    return replace_parts(folder, write, only_these=True)


def _prices(config: Config, environ: Mapping[str, str]) -> dict[str, Any]:
    """Each configured model's price in pico-dollars a token, with source and date."""
    deployments = build(config, environ).deployments.values()
    return {d.id: {"model": d.model, **(asdict(d.price) if d.price else {})} for d in deployments}


def catalogue(tables: Sequence[OutcomeTable]) -> dict[str, dict[str, Any]]:
    """Each model's mean quality, mean cost and list price in the tables, if known.

    A model in several tables has the mean over all its rows.
    """
    known: dict[str, dict[str, Any]] = {}
    for model in dict.fromkeys(model for table in tables for model in table.models):
        mine = [table for table in tables if model in table.models]
        record: dict[str, Any] = {
            name: _mean([_column(table, grid, model) for table in mine])
            for name, grid in _MEANS.items()
        }
        prices = [t.prices[model] for t in mine if model in t.prices]
        record["price_per_mtok"] = list(prices[0]) if prices else None
        known[model] = {name: value for name, value in record.items() if value is not None}
    return known


def _column(table: OutcomeTable, grid: str, model: str) -> Any:
    """The model's cells; empty if the table lacks them."""
    cells = getattr(table, grid)
    return np.empty(0) if cells is None else cells[:, table.models.index(model)]


def _mean(columns: Sequence[Any]) -> float | None:
    values = np.concatenate(columns)
    values = values[~np.isnan(values)]
    return float(f"{values.mean():.9g}") if len(values) else None


def _card(predictor: SuccessPredictor, tables: Sequence[OutcomeTable], seed: int) -> str:
    lines = ["# Success predictor", "", "Trained on:", ""]
    lines += [
        f"- {t.name}: {many(len(t.prompts), 'prompt')} x {len(t.models)} models" for t in tables
    ]
    lines += ["", f"Models: {len(predictor.models)}. Seed: {seed}.", ""]
    lines += ["It reads a prompt's text and tool definitions, nothing else."]
    return "\n".join(lines) + "\n"

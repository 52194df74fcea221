"""List prices of a table's models, from the file beside it, and the costs that tokens make of them.

``NAME.meta.json`` says ``price_per_mtok``: {model: [in, out]} in USD per million tokens. Every
problem is a ConfigError that names the file and the fix.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from turnout.core import ConfigError
from turnout.core.money import is_per_token
from turnout.core.plural import some_of
from turnout.evaluation.outcome_table import OutcomeTable


def with_prices(table: OutcomeTable, path: Path) -> OutcomeTable:
    """The table with the prices in ``path``, if it is there, and with costs from them.

    A cost is made of a cell's tokens where the table tells both counts and no cost of its own.
    """
    prices = _prices(path)
    table = replace(table, prices=prices, notes=(*table.notes, *_stray_notes(table, prices)))
    if not prices or table.input_tokens is None or table.output_tokens is None:
        return table
    nothing = (np.nan, np.nan)
    each = np.array([prices.get(model, nothing) for model in table.models]) / 1e6
    cost = table.input_tokens * each[:, 0] + table.output_tokens * each[:, 1]
    if table.cost_usd is not None:
        cost = np.where(np.isnan(table.cost_usd), cost, table.cost_usd)
    return replace(table, cost_usd=cost)


def _stray_notes(table: OutcomeTable, prices: Mapping[str, object]) -> list[str]:
    """Says if there are prices of other models than the table's, and none of some that it has."""
    stray = [model for model in prices if model not in table.models]
    unpriced = [model for model in table.models if model not in prices]
    if not (stray and unpriced):
        return []
    named = f"prices of {some_of(stray)}, which the table does not have"
    return [f"{named}, and none of {some_of(unpriced)}: name models as the table does"]


def _prices(path: Path) -> dict[str, tuple[float, float]]:
    """Each model's price; null is unknown."""
    if not path.is_file():
        return {}
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON: {error}") from error
    if not isinstance(written, dict):
        raise ConfigError(
            f'{path}: not an object; write {{"price_per_mtok": {{model: [in, out]}}}}'
        )
    listed = written.get("price_per_mtok") or {}
    if not isinstance(listed, dict):
        raise ConfigError(f"{path}: price_per_mtok is no object; write {{model: [in, out]}}")
    return {model: _price(path, model, price) for model, price in listed.items() if price}


def _price(path: Path, model: str, price: Any) -> tuple[float, float]:
    try:
        read, written = (float(usd) for usd in price)
    except (TypeError, ValueError):
        read = written = -1.0
    if not all(0 <= usd < np.inf for usd in (read, written)):
        raise ConfigError(
            f"{path}: the price of {model} is {price!r}; write [in, out] in USD per million tokens"
        )
    if is_per_token(read) or is_per_token(written):
        raise ConfigError(
            f"{path}: the price of {model}, {price!r}, looks like that of one token; write it for "
            "a million"
        )
    return read, written

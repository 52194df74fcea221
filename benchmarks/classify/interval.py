"""Figures with their 95 % intervals."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Figure = dict[str, float]

_Z = 1.96
_DRAWS = 200


def share(hits: Sequence[bool] | Any) -> Figure:
    """A share with Wilson's interval."""
    n = max(len(hits), 1)
    p = float(np.sum(hits)) / n
    middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * (p * (1 - p) / n + _Z**2 / (4 * n * n)) ** 0.5 / (1 + _Z**2 / n)
    return {"value": p, "low": max(0.0, middle - half), "high": min(1.0, middle + half)}


def by_group(hits: Any, groups: Any) -> Figure:
    """A share whose interval resamples whole groups, since the errors in a group are related."""
    hits, groups = np.asarray(hits, dtype=float), np.asarray(groups)
    names = np.unique(groups)
    sums = np.array([hits[groups == name].sum() for name in names])
    sizes = np.array([(groups == name).sum() for name in names])
    drawn = np.random.default_rng(0).integers(0, len(names), (2000, len(names)))
    values = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(values, (0.025, 0.975))
    return {"value": float(hits.mean()), "low": float(low), "high": float(high)}


def resampled(measure: Callable[[Any], dict[str, float]], rows: int) -> dict[str, Figure]:
    """Figures of all rows, with intervals from ``_DRAWS`` draws of as many rows."""
    rng = np.random.default_rng(0)
    found = measure(np.arange(rows))
    draws = [measure(rng.integers(0, rows, rows)) for _ in range(_DRAWS)]
    out = {}
    for name, value in found.items():
        low, high = np.quantile([draw[name] for draw in draws], (0.025, 0.975))
        out[name] = {"value": float(value), "low": float(low), "high": float(high)}
    return out


def formatted(value: object) -> str:
    """A figure as text."""
    if isinstance(value, dict) and value.keys() == {"value", "low", "high"}:
        return f"{value['value']:.4f}  [{value['low']:.4f}, {value['high']:.4f}]"
    return f"{value:.4f}" if isinstance(value, float) else str(value)

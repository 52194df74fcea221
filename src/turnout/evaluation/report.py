"""The values of an evaluation: figures of policies, predictions and baselines."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from turnout.evaluation.driver import Replayed


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A value with its 95 % bootstrap interval; NaN if it is unknown."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the report.

    Mean quality, USD per thousand requests and milliseconds per request; ``saving_vs_best`` is
    against the best single model, ``saving_vs_dearest`` against the dearest one; ``over_mixing`` is
    the quality above that of mixing single models (the zero router) at the same cost,
    ``oracle_gap`` the oracle's lead in quality; ``picks`` is each model's share of the answers.
    """

    name: str
    quality: Figure
    usd_per_1000: Figure
    latency_ms: Figure
    saving_vs_best: Figure
    saving_vs_dearest: Figure
    over_mixing: Figure
    oracle_gap: Figure
    picks: Mapping[str, Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Figures of the predictions themselves, and the curves as (USD a request, quality).

    ``whole`` is the number of prompts that every priced model answered; cost figures are computed
    on these.
    """

    figures: Mapping[str, Figure]
    whole: int = 0
    routed: tuple[tuple[float, float], ...] = ()
    mixed: tuple[tuple[float, float], ...] = ()
    task_oracle: tuple[tuple[float, float], ...] = ()
    singles: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole evaluation; ``notes`` are reservations about its figures.

    ``replays`` has each policy's choices row by row; JSON leaves them out.
    """

    table: str
    prompts: int
    models: int
    bundle: str
    rows: tuple[Row, ...]
    curve: Curve
    notes: tuple[str, ...]
    replays: Mapping[str, Replayed] = field(default_factory=dict, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values; an unknown figure is null."""
        report: dict[str, Any] = _plain(asdict(replace(self, replays={})))
        del report["replays"]
        return report


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return None if np.isnan(value) else value
    return value

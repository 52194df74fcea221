"""Evaluates policies on an outcome table: replays them and the baselines, with intervals.

Predictions come from a bundle or from the caller; this module trains nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from turnout.classifiers.success import Bundle
from turnout.core import ConfigError
from turnout.core.arrays import Doubles
from turnout.core.plural import many, some_of
from turnout.evaluation import metrics
from turnout.evaluation.driver import Replayed, replay_policy
from turnout.evaluation.outcome_table import OutcomeTable, known_means
from turnout.evaluation.report import Report
from turnout.evaluation.report_curve import curve_of
from turnout.evaluation.report_rows import RowMaker
from turnout.features.prompt import row_text
from turnout.policies import Cheapest, Policy, Random, Strongest


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What is known about a table's outcomes before any call.

    ``success [n, m]`` is P(success) in the table's order of prompts and models. ``mean_cost_usd``
    and ``latency_ms`` are the cost and latency of a call by model; for a model that they lack, the
    table's own mean counts.
    ``strange [n]`` is how strange each prompt is to the predictor, 0 to 1, if it reports that;
    ``bundle`` is the predictor's hash, ``notes`` are reservations about the predictions.
    """

    success: Doubles
    mean_cost_usd: Mapping[str, float] = field(default_factory=dict)
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    strange: Doubles | None = None
    bundle: str = ""
    notes: tuple[str, ...] = ()


def predictions(table: OutcomeTable, bundle: Bundle) -> Predictions:
    """The bundle's predictions for the table's prompts and models.

    Raises ConfigError if it does not know one of the models.
    """
    columns, predictor = columns_of(table, bundle), bundle.predictor
    prompts = [row_text(row) for row in table.prompts]
    notes = []
    if seen := predictor.trained_share(prompts):
        notes.append(
            f"{100 * seen:.0f} % of these prompts were trained on: figures on them are no evidence"
        )
    if any(one.get("table") == table.name for one in bundle.policy.get("promises", ())):
        notes.append(
            "the bundle was calibrated on a table of this name: that its promise is kept here is "
            "no evidence"
        )
    success, strange = (
        part.astype(np.float64) for part in predictor.predict_all_with_strangeness(prompts)
    )
    return Predictions(
        success=success[:, columns],
        mean_cost_usd=bundle.means("mean_cost_usd"),
        latency_ms=bundle.means("latency_ms"),
        strange=strange,
        bundle=bundle.digest,
        notes=tuple(notes),
    )


def columns_of(table: OutcomeTable, bundle: Bundle) -> list[int]:
    """The columns of the table's models, in their order, in the bundle's predictions.

    Raises ConfigError if the bundle does not know one of them.
    """
    known = bundle.predictor.models
    missing = [model for model in table.models if model not in known]
    if missing:
        raise ConfigError(
            f"{bundle.folder} does not know {some_of(missing)} of table {table.name}; train on a "
            "table that has them, or add them with turnout probe"
        )
    return [known.index(model) for model in table.models]


def best_first(table: OutcomeTable) -> tuple[str, ...]:
    """The models by falling mean score on the table; among equals the best single model first."""
    means = known_means(table.score)
    costs = None if table.cost_usd is None else known_means(table.cost_usd)
    best = metrics.best_single(means, costs)
    order = sorted(range(len(means)), key=lambda place: (-means[place], place != best))
    return tuple(table.models[place] for place in order)


def evaluate(
    table: OutcomeTable,
    policies: Mapping[str, Policy | Replayed],
    known: Predictions,
    *,
    pair: tuple[str, str] | None = None,
) -> Report:
    """The report on named policies, with the baselines random, cheapest and strongest, and bounds.

    Take the table as ``read_table(path).answered().costed()``. A result of ``replayed``, such as
    one of a ``Router``'s decisions, may be given in place of a policy. ``pair`` names the weak and
    the strong model for APGR and CPT; by default these are the weakest and the best. Raises
    ConfigError if the predictions do not fit the table, or it lacks a model of the pair.
    """
    _check_success(table, known)
    pair_notes = [] if pair is None else _swapped_pair_notes(table, pair)
    costs = expected_values(table, table.cost_usd, known.mean_cost_usd)
    notes = list(known.notes)
    if len(costs) < 2:
        costs = {}
        notes.append(
            "no costs, nor prices and token counts: none is the cheapest, and policies that weigh "
            "cost rank by quality only"
        )
    replays = _replays(table, policies, known, costs)
    if any(replay.policy.name == "cascade" for replay in replays.values()):
        notes.append("cascade: a draft is verified by the table's own score, as a test would")
    maker = RowMaker(table)
    notes.append(f"best single and strongest: {maker.best_model}{maker.dearest_note}")
    notes += pair_notes
    curve = curve_of(table, known.success, pair)
    return Report(
        table=table.name,
        prompts=len(table.prompts),
        models=len(table.models),
        bundle=known.bundle,
        rows=(
            *(maker.replayed_row(name, replay) for name, replay in replays.items()),
            *maker.baseline_rows(table.column("task")),
        ),
        curve=curve,
        notes=(*notes, *_missing_outcome_notes(table, curve.whole)),
        replays=replays,
    )


def _replays(
    table: OutcomeTable,
    policies: Mapping[str, Policy | Replayed],
    known: Predictions,
    costs: Mapping[str, float],
) -> dict[str, Replayed]:
    """The baselines and the policies by name, replayed on the table; no cheapest without costs."""
    latency_ms = expected_values(table, table.latency_ms, known.latency_ms)
    cheapest = {"cheapest": Cheapest()} if costs else {}
    strongest = Strongest(order=best_first(table))
    every = {"random": Random(), **cheapest, "strongest": strongest, **policies}

    def replayed(policy: Policy | Replayed) -> Replayed:
        if isinstance(policy, Replayed):
            return policy
        return replay_policy(
            table,
            policy,
            known.success,
            costs,
            bundle=known.bundle,
            latency_ms=latency_ms,
            strange=known.strange,
        )

    return {name: replayed(policy) for name, policy in every.items()}


def picks(table: OutcomeTable, report: Report) -> Iterator[dict[str, Any]]:
    """A row for each prompt and policy.

    It has table, id, policy, model, score, cost_usd, latency_ms and calls.

    Cost and latency are sums over all calls, fallbacks and drafts included. None means unknown,
    and as the model that none answered.
    """
    for row, key in enumerate(table.ids):
        for name, replay in report.replays.items():
            chosen = int(replay.chosen[row])
            yield {
                "table": table.name,
                "id": key,
                "policy": name,
                "model": table.models[chosen] if chosen >= 0 else None,
                "score": float(replay.score[row]),
                "cost_usd": _none_if_nan(replay.cost_usd[row]),
                "latency_ms": _none_if_nan(replay.latency_ms[row]),
                "calls": int(replay.calls[row]),
            }


def _check_success(table: OutcomeTable, known: Predictions) -> None:
    shape, wanted = np.shape(known.success), table.score.shape
    if shape != wanted:
        raise ConfigError(
            f"success has shape {shape}, table {table.name} {wanted}: give one row a prompt and "
            "one column a model, in the table's order"
        )
    wrong = np.argwhere(~np.isfinite(known.success))
    if len(wrong):
        row, column = map(int, wrong[0])
        raise ConfigError(
            f"success, row {row + 1} ({table.ids[row]}): {table.models[column]} has "
            f"{known.success[row, column]}; give a number for each"
        )


def _swapped_pair_notes(table: OutcomeTable, pair: tuple[str, str]) -> list[str]:
    """A note if the weak model of a pair is not the weaker one. Raises ConfigError."""
    if len(set(pair)) < 2 or not set(pair) <= set(table.models):
        raise ConfigError(
            f"pair: {' and '.join(pair)}; give two of table {table.name}'s models, the weak one "
            "first"
        )
    weak, strong = table.columns(pair).score.T
    if np.nansum(strong - weak) > 0:
        return []
    return [f"{pair[1]} answers no better than {pair[0]} here: APGR and CPT tell nothing"]


def expected_values(
    table: OutcomeTable, grid: Doubles | None, given: Mapping[str, float]
) -> dict[str, float]:
    """The given value of each of the table's models, else the mean of its cells in ``grid [n, m]``.

    Models about which nothing is known are left out.
    """
    means = np.empty(0) if grid is None else known_means(grid)
    known = {**dict(zip(table.models, means.tolist(), strict=False)), **given}
    return {m: known[m] for m in table.models if m in known and not np.isnan(known[m])}


def _missing_outcome_notes(table: OutcomeTable, whole: int) -> list[str]:
    """Notes on the effect of missing outcomes; ``whole`` prompts were answered by every model."""
    missing = int(np.isnan(table.score).sum())
    if not missing:
        return []
    note = (
        f"{missing:,} of {table.score.size:,} outcomes are missing: a single model has its mean "
        "over the prompts that it answered, a policy falls back to the next model"
    )
    notes = [note]
    if alone := int((np.isfinite(table.score).sum(axis=1) == 1).sum()):
        notes.append(
            f"{many(alone, 'prompt')} of {len(table.prompts):,} were answered by one model alone: "
            "there every policy has its answer, which tells nothing of the policy"
        )
    if table.cost_usd is not None:
        notes.append(
            f"AIQ and savings of predictions: on {many(whole, 'prompt')} that all answered"
        )
    return notes


def _none_if_nan(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

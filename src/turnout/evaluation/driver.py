"""Replays an outcome table through the ``decide()`` and ``next_attempt()`` that serve requests.

A cell of the table is the result of a call to the model: its score, its cost, its latency.
A missing cell is a call that failed, so the plan's next route is taken. A wrong draft is rejected
by its score, and the walk escalates as it would when serving; the draft's cost is paid.
A table has no conversations, so no prompt cache is known, and costs are those with a cold cache.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from turnout.catalog import Catalog, Deployment, ModelCard, Price, Provider, Rates
from turnout.core import (
    Constraints,
    Decision,
    Fault,
    Features,
    Outcome,
    Prediction,
    Ref,
    Request,
    Snapshot,
)
from turnout.core.arrays import Doubles, Ints
from turnout.decision import BLOCKS_NOTHING, Attempt, RetryRules, Rulebook, decide
from turnout.evaluation.outcome_table import OutcomeTable
from turnout.evaluation.replay import replay
from turnout.features.prompt import row_text
from turnout.policies import Policy

_PICO = 1e12
_ONE_CALL = Features(input_tokens={"o200k_base": 0}, output_tokens=1)
_VERIFIED = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a policy did with each row: ``chosen`` indexes the answering model (-1: none).

    ``cost_usd`` and ``latency_ms`` are summed over the walk, NaN where a cell is unknown.
    """

    policy: Ref
    chosen: Ints
    score: Doubles
    cost_usd: Doubles
    latency_ms: Doubles
    calls: Ints


def replay_policy(
    table: OutcomeTable,
    policy: Policy,
    success: Doubles,
    mean_cost: Mapping[str, float],
    *,
    bundle: str = "",
    constraints: Constraints | None = None,
    latency_ms: Mapping[str, float] | None = None,
    strange: Doubles | None = None,
) -> Replayed:
    """The table under ``policy``, with predictions ``success [n, m]`` in the table's order.

    ``mean_cost`` is each model's known cost per call in USD, and ``latency_ms`` its known latency,
    both before the call; ``strange [n]`` is how strange each prompt is, 0 to 1.
    """
    rules = Rulebook(
        catalog=catalog(table.models, mean_cost),
        policy=policy,
        safety=BLOCKS_NOTHING,
        bundle=bundle,
    )
    limits, now = constraints or Constraints(), Snapshot(latency_ms=latency_ms or {})
    strangeness = [None] * len(table.prompts) if strange is None else strange.tolist()
    decisions = (
        decide(
            Request(
                # A log may have cut an id off in the middle of a character.
                id=f"{table.name}/{prompt['id']}".encode(errors="backslashreplace").decode(),
                body={"messages": [{"role": "user", "content": row_text(prompt).text}]},
                constraints=limits,
            ),
            _ONE_CALL,
            _prediction_of(table, success[row], strangeness[row]),
            now,
            rules,
        )
        for row, prompt in enumerate(table.prompts)
    )
    return replayed(table, policy.ref, decisions)


def replayed(table: OutcomeTable, policy: Ref, decisions: Iterable[Decision | None]) -> Replayed:
    """The results of decisions on the table's prompts, in the table's order.

    None stands for a refused request; like a blocked one it has no answer. Each model of a plan
    must be in the table.
    """
    walks = [
        _walk_totals(table, row, _walk(table, row, decision) if decision else ())
        for row, decision in enumerate(decisions)
    ]
    chosen, score, cost, latency, calls = (np.array(column) for column in zip(*walks, strict=True))
    return Replayed(
        policy=policy,
        chosen=chosen.astype(np.int64),
        score=score.astype(np.float64),
        cost_usd=cost.astype(np.float64),
        latency_ms=latency.astype(np.float64),
        calls=calls.astype(np.int64),
    )


def catalog(models: Sequence[str], mean_cost: Mapping[str, float]) -> Catalog:
    """The table's models as deployments; the expected cost per call is the known mean cost."""
    return Catalog(
        deployments={
            model: Deployment(
                id=model,
                card=ModelCard(id=model, context_window=1 << 62),
                provider=Provider(name=f"table:{model}", base_url=""),
                price=_price(mean_cost.get(model)),
            )
            for model in models
        }
    )


def _price(mean_cost_usd: float | None) -> Price | None:
    if mean_cost_usd is None or np.isnan(mean_cost_usd):
        return None
    rates = Rates(input=0, output=max(1, round(mean_cost_usd * _PICO)))
    return Price(rates=rates, source="mean cost a call in the training table", date="undated")


def _prediction_of(table: OutcomeTable, success: Doubles, strange: float | None) -> Prediction:
    return Prediction(
        classifier=Ref(name="success"),
        harm=0.0,
        success=dict(zip(table.models, success.tolist(), strict=True)),
        strange=strange,
    )


def _walk(table: OutcomeTable, row: int, decision: Decision) -> tuple[Outcome, ...]:
    return replay(
        decision, RetryRules(retries=0), lambda tried: _outcome(table, row, tried, decision.id)
    )


def _outcome(table: OutcomeTable, row: int, attempt: Attempt, decision_id: str) -> Outcome:
    """The cell as an outcome: a missing one failed, a rejected draft failed too."""
    score = table.score[row, table.models.index(attempt.route.model)]
    missing = bool(np.isnan(score))
    failed = missing or (attempt.route.role == "draft" and score < _VERIFIED)
    fault = (
        Fault(kind="unavailable", detail="no outcome in the table")
        if missing
        else Fault(kind="rejected", detail="rejected by the table's score")
    )
    return Outcome(
        decision_id=decision_id,
        route=attempt.route,
        status="failed" if failed else "ok",
        ordinal=attempt.ordinal,
        error=fault if failed else None,
    )


def _walk_totals(
    table: OutcomeTable, row: int, walk: Sequence[Outcome]
) -> tuple[int, float, float, float, int]:
    columns = [table.models.index(outcome.route.model) for outcome in walk]
    answered = [c for c, outcome in zip(columns, walk, strict=True) if outcome.status == "ok"]
    paid = [c for c in columns if not np.isnan(table.score[row, c])]
    chosen = answered[-1] if answered else -1
    score = float(table.score[row, chosen]) if chosen >= 0 else 0.0
    return (
        chosen,
        score,
        _total(table.cost_usd, row, paid),
        _total(table.latency_ms, row, paid),
        len(walk),
    )


def _total(grid: Doubles | None, row: int, columns: Sequence[int]) -> float:
    return float("nan") if grid is None else float(grid[row, list(columns)].sum())

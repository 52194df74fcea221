"""An outcome table from a ledger: feedback on answers, and verdicts on drafts.

The ledger keeps no text, so the prompts come from the user's own log, by id. Answers of several
models to one prompt are one row; a model that answered it more than once gets the mean.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from turnout.core import ConfigError
from turnout.features.prompt import row_text
from turnout.ledger import Store, decision_of

# Verdicts of a verifier on drafts are outcomes, too; feedback cannot have this name.
VERIFIED = "verified"
CLIENT_ID = "client_request_id"
_PICO = 1e12
_MICRO = 1e6

_FEEDBACK = """
    SELECT r.id, r.request_id, f.value_micro, c.deployment, coalesce(c.served, c.model),
        c.input + c.cache_read + c.cache_write, c.output + c.reasoning, c.cost, c.latency_ms
    FROM feedback AS f JOIN requests AS r ON r.id = f.id JOIN calls AS c ON c.id = f.id
    WHERE f.metric = $1 AND c.status = 'ok' AND c.role NOT IN ('classifier', 'verifier')
    ORDER BY r.id, f.at_ms"""
_DRAFTS = """
    SELECT r.id, r.request_id, CASE WHEN c.status = 'ok' THEN 1000000 ELSE 0 END, c.deployment,
        coalesce(c.served, c.model), c.input + c.cache_read + c.cache_write,
        c.output + c.reasoning, c.cost, c.latency_ms
    FROM calls AS c JOIN requests AS r ON r.id = c.id
    WHERE c.role = 'draft' AND (c.status = 'ok' OR c.fault = 'rejected')
    ORDER BY r.id, c.n"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRows:
    """Rows of an outcome table, and what was left out of it."""

    rows: tuple[Mapping[str, Any], ...]
    outcomes: int
    without_prompt: int


def metrics_in(store: Store) -> list[tuple[str, int]]:
    """Every metric there is, with how many values it has."""
    found = store.fetch("SELECT metric, count(*) FROM feedback GROUP BY metric ORDER BY metric")
    (drafts,) = store.fetch(
        "SELECT count(*) FROM calls WHERE role = 'draft' AND (status = 'ok' OR fault = 'rejected')"
    )
    known = [(str(name), int(count)) for name, count in found]
    return [*known, (VERIFIED, int(drafts[0]))] if drafts[0] else known


def ledger_rows(
    store: Store,
    prompts: Sequence[Mapping[str, Any]],
    *,
    metric: str,
    scale: tuple[float, float] = (0.0, 1.0),
) -> LedgerRows:
    """A row for each outcome of ``metric``, with values scaled from ``scale`` to 0..1.

    ``prompts`` have the ``id`` of the decision, of the request, or the caller's own
    ``x-request-id``. Raises ConfigError naming the decision whose value is outside the scale.
    """
    low, high = scale
    records = store.fetch(_DRAFTS) if metric == VERIFIED else store.fetch(_FEEDBACK, (metric,))
    texts = {str(row["id"]): row for row in prompts if row.get("id") is not None}
    cells: defaultdict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
    kept: dict[str, Mapping[str, Any]] = {}
    outcomes = missing = 0
    for ident, request_id, value_micro, _, model, *facts in records:
        outcomes += 1
        prompt = _prompt(store, texts, ident, request_id)
        if prompt is None:
            missing += 1
            continue
        value = value_micro / _MICRO
        if not low <= value <= high:
            raise ConfigError(
                f"{ident}: {metric} is {value:g}, outside {low:g}:{high:g}; give its range as "
                "--scale LOW:HIGH"
            )
        key = "\n".join(row_text(prompt))
        kept.setdefault(key, {**prompt, "id": ident})
        cells[key, model].append(((value - low) / (high - low), *facts))
    rows = tuple(_row(kept[key], model, cell) for (key, model), cell in cells.items())
    return LedgerRows(rows=rows, outcomes=outcomes, without_prompt=missing)


def _prompt(
    store: Store, texts: Mapping[str, Mapping[str, Any]], ident: str, request_id: str
) -> Mapping[str, Any] | None:
    found = texts.get(ident) or texts.get(request_id)
    if found is None:
        request, _ = decision_of(store, ident)
        found = texts.get(request.tags.get(CLIENT_ID, ""))
    return found


def _row(
    prompt: Mapping[str, Any], model: str, outcomes: Sequence[tuple[Any, ...]]
) -> dict[str, Any]:
    """One cell with the means of its outcomes; one unknown cost makes the mean cost unknown."""
    columns = list(zip(*outcomes, strict=True))
    scores, read, written, costs, latencies = columns
    known = None not in costs
    return {
        **prompt,
        "model": model,
        "score": round(fmean(scores), 6),
        "input_tokens": fmean(read),
        "output_tokens": fmean(written),
        "cost_usd": fmean(costs) / _PICO if known else None,
        "latency_ms": fmean(latencies),
    }

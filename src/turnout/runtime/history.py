"""Earlier decisions with their calls, read from the ledger: of all workers, and before restarts.

Invariant: the ledger is read off the event loop; nothing here holds a prompt or an answer.
This module does not know HTTP.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from turnout.core import InvalidRequest, usd
from turnout.core.errors import ConfigError
from turnout.ledger import Ledger, NoLedgerYet, Recorder, decision_of, request_details


async def recorded_decision(
    recorder: Recorder, ident: str, tenant: str | None
) -> dict[str, Any] | None:
    """The decision with its calls, cost, events and feedback; None where no ledger has it.

    ``tenant`` (None: any) sees only its own decisions; others do not exist for it.
    """
    if not isinstance(recorder, Ledger):
        return None
    found = await asyncio.to_thread(_load, recorder, ident)
    return found if found and tenant in (None, found["tenant"]) else None


async def add_feedback(
    recorder: Recorder, ident: str, feedback: Mapping[str, Any], tenant: str | None
) -> bool:
    """Adds feedback to a decision in the ledger; False if the tenant has no such decision."""
    if not isinstance(recorder, Ledger):
        return False
    if tenant is not None and await recorded_decision(recorder, ident, tenant) is None:
        return False
    try:
        await recorder.feedback(
            ident, feedback["metric"], feedback["value"], source=feedback["source"]
        )
    except InvalidRequest as error:
        if error.field == "decision_id":
            return False
        raise
    except NoLedgerYet:
        return False
    return True


def _load(ledger: Ledger, ident: str) -> dict[str, Any] | None:
    try:
        request, decision = decision_of(ledger.store, ident)
        found = request_details(ledger.store, ident)
    except (InvalidRequest, ConfigError):
        return None
    costs = [call["cost"] for call in found["calls"]]
    paid = None if None in costs else sum(costs)
    return {
        **decision.as_dict(),
        "tenant": found.get("tenant"),
        "client_request_id": request.tags.get("client_request_id"),
        "explanation": decision.explain(),
        "attempts": [_attempt_body(call) for call in found["calls"]],
        "cost_usd": usd(paid),
        "events": [{k: e[k] for k in ("kind", "detail")} for e in found["events"]],
        "feedback": [_feedback_body(row) for row in found["feedback"]],
    }


def _attempt_body(call: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "deployment": call["deployment"],
        "model": call["model"],
        "served_model": call["served"] or call["model"],
        "role": call["role"],
        "status": call["status"],
        "error": call["fault"],
        "input_tokens": call["input"] + call["cache_read"] + call["cache_write"],
        "output_tokens": call["output"] + call["reasoning"],
        "estimated": bool(call["estimated"]),
        "cost_usd": usd(call["cost"]),
        "ttft_ms": call["ttft_ms"],
        "latency_ms": call["latency_ms"],
    }


def _feedback_body(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "metric": row["metric"],
        "value": row["value_micro"] / 1_000_000,
        "source": row["source"],
    }

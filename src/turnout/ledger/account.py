"""The account of one request: from its decision and its calls to a settlement.

Invariant: the settlement's cost is the sum of its calls, extra ones included. Pure: the time and
the catalogue come in as arguments.
"""

from collections.abc import Mapping, Sequence

from turnout.catalog import Catalog, Deployment
from turnout.core import Decision, Outcome, Usage
from turnout.ledger.entries import Call, Event, Settlement, Twin
from turnout.ledger.twins import Answer, quality_ppm, twins

Recorded = tuple[Outcome, Call]


def settlement(
    decision: Decision,
    recorded: Sequence[Recorded],
    *,
    unwritten: Sequence[Call],
    catalog: Catalog,
    marks: Mapping[str, str],
    stand_in: Deployment | None,
    at_ms: int,
    decided_ms: int,
    reusable: int = 0,
) -> Settlement:
    """The end of a request.

    ``unwritten`` are the calls that are not in the ledger yet, ``marks`` the catalogue's extremes.
    """
    final = answering(recorded)
    usage = final[0].usage if final else Usage()
    costs = [call.cost_pico_usd for _, call in recorded]
    known = [cost for cost in costs if cost is not None]
    answer_cost = (final[1].cost_pico_usd or 0) if final else 0
    total = None if len(known) < len(costs) else sum(known)
    chosen = next((c for c in decision.candidates if c.deployment == decision.deployment), None)
    return Settlement(
        id=decision.id,
        at_ms=at_ms,
        state="estimated" if any(call.estimated for _, call in recorded) else "settled",
        decided_ms=decided_ms,
        intent=decision.intent,
        model=(final[0].route.deployment if final else decision.deployment) or "",
        answered=final is not None,
        blocked=decision.blocked is not None,
        stand_in=stand_in is not None and final is not None,
        cost_pico_usd=sum(known),
        extra_pico_usd=sum(known) - answer_cost,
        extra_calls=len(recorded) - (1 if final else 0),
        unknown_calls=len(costs) - len(known),
        input=usage.input,
        cache_read=usage.cache_read,
        cache_write=usage.cache_write,
        output=usage.output,
        reasoning=usage.reasoning,
        quality_ppm=quality_ppm(chosen) if final else None,
        calls=tuple(unwritten),
        events=tuple(_events(recorded, at_ms, stand_in)),
        # A stand-in's answer costs nothing and stands for no model's: nothing to compare.
        twins=() if stand_in else _twins(decision, final, total, catalog, marks, reusable),
    )


def answering(recorded: Sequence[Recorded]) -> Recorded | None:
    """The call that gave the answer, or as much of it as there is."""
    for outcome, call in reversed(recorded):
        if outcome.is_answer and (outcome.status == "ok" or outcome.released):
            return outcome, call
    return None


def _twins(
    decision: Decision,
    final: Recorded | None,
    total: int | None,
    catalog: Catalog,
    marks: Mapping[str, str],
    reusable: int,
) -> tuple[Twin, ...]:
    if final is None:
        return ()
    outcome, call = final
    deployment = catalog.deployments.get(outcome.route.deployment)
    if deployment is None:
        return ()
    answer = Answer(
        deployment=deployment,
        usage=outcome.usage,
        cost_pico_usd=call.cost_pico_usd,
        request_pico_usd=total,
        reusable=reusable,
    )
    return tuple(twins(decision, answer, catalog, marks))


def _events(recorded: Sequence[Recorded], at_ms: int, stand_in: Deployment | None) -> list[Event]:
    found = []
    for _, call in recorded:
        if call.served is not None and stand_in is None:
            detail = f"asked for {call.model}, served by {call.served}"
            if call.cost_pico_usd is None:
                detail += ", whose price is unknown"
            found.append(("served_model", detail))
        elif call.cost_pico_usd is None:
            found.append(("unknown_price", f"{call.model} has no known price"))
    return [
        Event(id=recorded[0][1].id, n=n, at_ms=at_ms, kind=kind, detail=detail)
        for n, (kind, detail) in enumerate(found)
    ]

"""The account of one request: from its decision and its calls to a settlement.

Invariant: the settlement's cost is the sum over all its calls. Pure: the time and the catalogue are
arguments.
"""

from collections.abc import Mapping, Sequence

from turnout.catalog import Catalog, Deployment
from turnout.core import Decision, Outcome
from turnout.ledger.entries import NO_TOKENS, Call, Event, Settlement, Sums
from turnout.ledger.twins import Answer, quality_ppm, twins

Recorded = tuple[Outcome, Call]


def settlement(
    decision: Decision,
    recorded: Sequence[Recorded],
    *,
    unwritten: Sequence[Call],
    catalog: Catalog,
    extremes: Mapping[str, str],
    stand_in: Deployment | None,
    at_ms: int,
    decided_ms: int,
    reusable: int = 0,
    notes: Sequence[tuple[str, str]] = (),
) -> Settlement:
    """The end of a request.

    ``unwritten`` are the calls that are not in the ledger yet, ``extremes`` the catalogue's
    strongest and cheapest deployment, ``notes`` the kind and detail of events.
    """
    final = delivered_call(recorded)
    outcome, call = final or (None, None)
    spent, unknown, estimated = _cost_totals(recorded)
    answer_cost = (call.cost_pico_usd or 0) if call else 0
    total = None if unknown else spent
    first = decision.deployment
    return Settlement(
        # By position, since Python makes a dictionary of more than 15 names.
        decision.id,
        at_ms,
        "estimated" if estimated else "settled",
        decided_ms,
        decision.intent,
        (outcome.route.deployment if outcome else first) or "",
        answered=final is not None,
        blocked=decision.blocked is not None,
        stand_in=stand_in is not None and final is not None,
        cost_pico_usd=spent,
        extra_pico_usd=spent - answer_cost,
        extra_calls=len(recorded) - (1 if final else 0),
        unknown_calls=unknown,
        tokens=call.tokens if call else NO_TOKENS,
        quality_ppm=_quality(decision, first) if final else None,
        calls=tuple(unwritten),
        events=tuple(_events(decision.id, recorded, at_ms, stand_in, notes)),
        # A stand-in's answer costs nothing and tells nothing about any model: it is not compared.
        twins={} if stand_in else _twins(decision, final, total, catalog, extremes, reusable),
    )


def _cost_totals(recorded: Sequence[Recorded]) -> tuple[int, int, bool]:
    """The sum of the known costs, the number of unknown ones, and whether usage was estimated."""
    spent = unknown = 0
    estimated = False
    for _, call in recorded:
        estimated = estimated or call.estimated
        if call.cost_pico_usd is None:
            unknown += 1
        else:
            spent += call.cost_pico_usd
    return spent, unknown, estimated


def _quality(decision: Decision, deployment: str | None) -> int | None:
    for candidate in decision.candidates:
        if candidate.deployment == deployment:
            return quality_ppm(candidate.quality)
    return None


def delivered_call(recorded: Sequence[Recorded]) -> Recorded | None:
    """The call whose answer came whole, or of which a part was sent to the caller; else None."""
    for outcome, call in reversed(recorded):
        if outcome.is_answer and (outcome.status == "ok" or outcome.released):
            return outcome, call
    return None


def _twins(
    decision: Decision,
    final: Recorded | None,
    total: int | None,
    catalog: Catalog,
    extremes: Mapping[str, str],
    reusable: int,
) -> dict[str, Sums]:
    if final is None:
        return {}
    outcome, call = final
    deployment = catalog.deployments.get(outcome.route.deployment)
    if deployment is None:
        return {}
    answer = Answer(
        deployment=deployment,
        usage=outcome.usage,
        cost_pico_usd=call.cost_pico_usd,
        request_pico_usd=total,
        reusable=reusable,
    )
    return twins(decision, answer, catalog, extremes)


def _events(
    ident: str,
    recorded: Sequence[Recorded],
    at_ms: int,
    stand_in: Deployment | None,
    notes: Sequence[tuple[str, str]],
) -> list[Event]:
    found = list(notes)
    for _, call in recorded:
        if call.served is not None and stand_in is None:
            detail = f"asked for {call.model}, served by {call.served}"
            if call.cost_pico_usd is None:
                detail += ", whose price is unknown"
            found.append(("served_model", detail))
        elif call.cost_pico_usd is None:
            found.append(("unknown_price", f"{call.model} has no known price"))
    return [
        Event(id=ident, n=n, at_ms=at_ms, kind=kind, detail=detail)
        for n, (kind, detail) in enumerate(found)
    ]

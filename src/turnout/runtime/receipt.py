"""What a request cost, what it would have cost elsewhere, and which model answered.

Invariant: an unknown price makes the sum unknown, never smaller.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from turnout.catalog import Catalog, Deployment
from turnout.core import Decision, Outcome, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The account of one request, in pico-dollars.

    ``chosen_model`` is the model of the deployment that answered, else the decision's (None when
    blocked). ``answered_by`` is the model that the provider says it served, None without an answer;
    ``stand_in`` says that the embedded model answered in its place. ``usage`` is that of the call
    that answered.

    ``cost_pico_usd`` is the sum over all calls, labels and failures included, None when the price
    of one is unknown; ``classifier_pico_usd`` is the part for labels. ``list_cost_pico_usd`` has
    the answer at the chosen model's price: the same, unless a stand-in answered for free.
    ``strongest_pico_usd`` is the price of the answer's tokens at the strongest model.
    """

    chosen_model: str | None
    answered_by: str | None
    stand_in: bool
    usage: Usage
    cost_pico_usd: int | None
    classifier_pico_usd: int | None
    list_cost_pico_usd: int | None
    strongest_pico_usd: int | None


def receipt(
    decision: Decision,
    outcomes: Sequence[Outcome],
    catalog: Catalog,
    stand_in: Deployment | None,
) -> Receipt:
    """The account of these outcomes, which include calls for labels."""
    final = unfailed_call(outcomes)
    usage = final.usage if final else Usage()
    chosen = catalog.deployments[final.route.deployment] if final else None
    answer_pico_usd = final.cost_pico_usd if final and not stand_in else cost(chosen, usage)
    extra = total([o.cost_pico_usd for o in outcomes if o is not final])
    return Receipt(
        chosen_model=chosen.model if chosen else decision.model,
        answered_by=final.model if final else None,
        stand_in=stand_in is not None and final is not None,
        usage=usage,
        cost_pico_usd=total([o.cost_pico_usd for o in outcomes]),
        classifier_pico_usd=total(
            [o.cost_pico_usd for o in outcomes if o.route.role == "classifier"]
        ),
        list_cost_pico_usd=total([answer_pico_usd, extra]),
        strongest_pico_usd=cost(catalog.strongest(), usage),
    )


def unfailed_call(outcomes: Sequence[Outcome]) -> Outcome | None:
    """The last call for an answer that did not fail before a part of it was sent; None without one.

    The call that a caller left counts, even if nothing of its answer was sent.
    """
    for outcome in reversed(outcomes):
        if outcome.is_answer and (outcome.status != "failed" or outcome.released):
            return outcome
    return None


def cost(deployment: Deployment | None, usage: Usage) -> int | None:
    """Pico-dollars of ``usage`` at the deployment's price, None if unknown; 0 without one."""
    if deployment is None:
        return 0
    return None if deployment.price is None else deployment.price.bill(usage)


def total(costs: Sequence[int | None]) -> int | None:
    """The sum; None when any part is unknown."""
    whole = 0
    for cost in costs:
        if cost is None:
            return None
        whole += cost
    return whole

"""Admission: what a decision may spend is held, or it is decided again among what fits.

Invariant: nothing goes upstream whose most is not held within every budget. This module chooses
nothing: a full budget becomes a constraint, and the same ``decide`` is asked again.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from msgspec import structs

from turnout.catalog import Catalog
from turnout.core import (
    Bound,
    BudgetExceeded,
    Constraints,
    Decision,
    NoEligibleDeployment,
    Request,
    Standing,
)
from turnout.decision import bound
from turnout.ledger.balances import refusal
from turnout.runtime.ceiling import bounds
from turnout.runtime.means import Means


async def admitted(
    request: Request,
    decision: Decision,
    again: Callable[[Request], Decision],
    means: Means,
) -> tuple[Request, Decision]:
    """The request and its decision, once what it may spend is held.

    They differ from those given where a budget had no room for these. Raises BudgetExceeded, and
    NoEligibleDeployment where a model that would fit only takes no call now.
    """
    catalog = means.rules.catalog
    if not means.recorder.keeps:
        return request, decision  # nothing is held where nothing is kept
    for _ in range(len(catalog.deployments) + 2):  # one model less each time, or no drafts
        most = bounds(request, decision, catalog, means.verifier)
        try:
            await means.recorder.decided(request, decision, most)
        except BudgetExceeded as full:
            first = most[decision.routes[0].deployment] if decision.routes else Bound(0, 0)
            if walls := [_asking(s, first) for s in full.standings if _refuses(s, first)]:
                raise refusal(walls) from full
            limits = narrowed(request.constraints, full.standings, most, catalog)
            if limits == request.constraints:
                raise
            request = structs.replace(request, constraints=limits)
            decision = again(request)
            if not decision.routes:
                if any(c.excluded and c.excluded.wait_s is not None for c in decision.candidates):
                    raise NoEligibleDeployment(decision.candidates) from full
                least = [_asking_least(s, request, decision, catalog) for s in full.standings]
                raise refusal(least) from full
        else:
            return request, decision
    raise BudgetExceeded("no model fits the budgets that are left")


def _refuses(full: Standing, first: Bound) -> bool:
    """Whether a full budget ends a request whose chosen model may use ``first``.

    Where only the fallbacks do not fit, the request goes without these, whatever the budget says.
    """
    if full.budget.per == "model" or full.asked is None:
        return False
    if full.budget.unit == "requests":
        return True
    asked = _asking(full, first).asked
    return full.budget.when_full == "refuse" and (asked is None or asked > full.left)


def _too_dear(full: Standing, most: Mapping[str, Bound], catalog: Catalog) -> set[str]:
    """The places of a model that do not fit its budget by themselves."""
    mine = {id_ for id_ in most if catalog.deployments[id_].configured == full.subject}
    alone = {id_: (most[id_].parts or most)[id_] for id_ in mine}
    asked = {id_: _asking(full, bound).asked for id_, bound in alone.items()}
    return {id_ for id_, amount in asked.items() if amount is None or amount > full.left}


def _judges(full: Standing, most: Mapping[str, Bound], catalog: Catalog) -> bool:
    """Whether the model of this budget would be asked about another one's answer."""
    asked = (j for draft, bound in most.items() for j in bound.parts or () if j != draft)
    return any(catalog.deployments[judge].configured == full.subject for judge in asked)


def _asking(full: Standing, first: Bound) -> Standing:
    """The budget with what the chosen model may use of it, whatever the others in the plan may."""
    asked = {"usd": first.cost_pico_usd, "tokens": first.tokens, "requests": 1}
    return replace(full, asked=asked[full.budget.unit])


def _asking_least(
    full: Standing, request: Request, decision: Decision, catalog: Catalog
) -> Standing:
    """The budget with the least that a model may use of it, of those it had no room for."""
    refused = [c for c in decision.candidates if c.excluded and c.excluded.kind == "over_budget"]
    if full.budget.per == "model" or not refused:
        return full
    most = [bound(request, decision.features, catalog.deployments[c.deployment]) for c in refused]
    asked = [a for one in most if (a := _asking(full, one).asked) is not None]
    return replace(full, asked=min(asked, default=None))


def narrowed(
    limits: Constraints, full: tuple[Standing, ...], most: Mapping[str, Bound], catalog: Catalog
) -> Constraints:
    """The constraints under which a request may fit after all."""
    deny, drafts = set(limits.deny), limits.drafts
    costs = [] if limits.most_pico_usd is None else [limits.most_pico_usd]
    tokens = [] if limits.most_tokens is None else [limits.most_tokens]
    for standing in full:
        budget = standing.budget
        if budget.per == "model":
            dear = _too_dear(standing, most, catalog)
            if not dear and _judges(standing, most, catalog):
                drafts = False
            else:
                deny |= dear or {standing.subject}
        elif standing.asked is None:
            deny |= {id_ for id_, bound in most.items() if bound.cost_pico_usd is None}
        else:
            (costs if budget.unit == "usd" else tokens).append(standing.left)
    return structs.replace(
        limits,
        deny=frozenset(deny),
        drafts=drafts,
        most_pico_usd=min(costs, default=None),
        most_tokens=min(tokens, default=None),
    )

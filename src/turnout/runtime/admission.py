"""Admission: what a decision may spend is held in the budgets, or decided again among what fits.

Invariant: nothing is sent to a provider before the most it can use is held in every budget. This
module chooses nothing: a full budget becomes a constraint, and the same ``decide`` is asked again.
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
from turnout.runtime.bounds import bounds
from turnout.runtime.means import Means


async def admit(
    request: Request,
    decision: Decision,
    decide_again: Callable[[Request], Decision],
    means: Means,
) -> tuple[Request, Decision]:
    """The request and its decision, once the most that it may spend is held.

    They differ from the ones given if those did not fit a budget. The chosen deployment counts as
    busy meanwhile. Raises BudgetExceeded, or NoEligibleDeployment if a model that would fit takes
    no call at the moment.
    """
    recorder, health = means.recorder, means.health
    for _ in range(len(means.rules.catalog.deployments) + 2):  # one model less, or no drafts
        keeps, chosen = recorder.keeps, decision.deployment
        most = bounds(request, decision, means.rules.catalog, means.verifier) if keeps else {}
        if chosen is not None:
            health.note_choice(chosen)
        try:
            if keeps:
                await recorder.decided(request, decision, most)
        except BaseException as error:
            if chosen is not None:
                health.drop_choice(chosen)
            if not isinstance(error, BudgetExceeded):
                raise
            request, decision = _narrower(
                request, decision, error, most, decide_again, means.rules.catalog
            )
        else:
            return request, decision
    raise BudgetExceeded("no model fits the budgets that are left")


def _narrower(
    request: Request,
    decision: Decision,
    full: BudgetExceeded,
    most: Mapping[str, Bound],
    decide_again: Callable[[Request], Decision],
    catalog: Catalog,
) -> tuple[Request, Decision]:
    """The request and its decision among what may fit. Raises as ``admit``."""
    first = most[decision.routes[0].deployment] if decision.routes else Bound(0, 0)
    if refusing := [_with_needed(s, first) for s in full.standings if _refuses(s, first)]:
        raise refusal(refusing) from full
    limits = narrowed(request.constraints, full.standings, most, catalog)
    if limits == request.constraints:
        raise full
    request = structs.replace(request, constraints=limits)
    decision = decide_again(request)
    if not decision.routes:
        if any(c.excluded and c.excluded.wait_s is not None for c in decision.candidates):
            raise NoEligibleDeployment(decision.candidates) from full
        least = [_with_least_needed(s, request, decision, catalog) for s in full.standings]
        raise refusal(least) from full
    return request, decision


async def hold_remaining_routes(
    request: Request, decision: Decision, ordinal: int, full: BudgetExceeded, means: Means
) -> set[str]:
    """Holds what the routes from ``ordinal`` on may use, but for models whose budgets are full.

    Returns the deployments that are left out. Raises BudgetExceeded where another budget has no
    room for the rest.
    """
    catalog, closed = means.rules.catalog, set[str]()
    most = bounds(request, decision, catalog, means.verifier)
    left = {r.deployment: most[r.deployment] for r in decision.routes if r.ordinal >= ordinal}
    while left:
        models = {standing.subject for standing in full.standings}
        over_budget = {
            id_ for id_, bound in left.items() if _models_called(id_, bound, catalog) & models
        }
        if not over_budget:
            raise full
        closed |= over_budget
        left = {id_: bound for id_, bound in left.items() if id_ not in over_budget}
        try:
            await means.recorder.held(request, decision.id, left)
        except BudgetExceeded as error:
            full = error
        else:
            break
    return closed


def _models_called(deployment: str, most: Bound, catalog: Catalog) -> set[str]:
    """The models that are called when this deployment is, its verifier's among them."""
    return {catalog.deployments[id_].configured_name for id_ in most.parts or (deployment,)}


def _refuses(full: Standing, first: Bound) -> bool:
    """Whether a full budget refuses a request whose chosen model may use ``first``.

    If only fallbacks do not fit, the request goes without them, whatever ``when_full`` says.
    """
    if full.budget.per == "model" or full.needed is None:
        return False
    if full.budget.unit == "requests":
        return True
    needed = _with_needed(full, first).needed
    return full.budget.when_full == "refuse" and (needed is None or needed > full.left)


def _over_budget(full: Standing, most: Mapping[str, Bound], catalog: Catalog) -> set[str]:
    """The deployments of the budget's model that do not fit it by themselves."""
    own = {id_ for id_ in most if catalog.deployments[id_].configured_name == full.subject}
    alone = {id_: (most[id_].parts or most)[id_] for id_ in own}
    needed = {id_: _with_needed(full, bound).needed for id_, bound in alone.items()}
    return {id_ for id_, amount in needed.items() if amount is None or amount > full.left}


def _verifies_drafts(full: Standing, most: Mapping[str, Bound], catalog: Catalog) -> bool:
    """Whether the budget's model would verify the draft of another deployment."""
    judges = (j for draft, bound in most.items() for j in bound.parts or () if j != draft)
    return any(catalog.deployments[judge].configured_name == full.subject for judge in judges)


def _with_needed(full: Standing, first: Bound) -> Standing:
    """The budget, with what the chosen model alone may use of it as ``needed``."""
    needed = {"usd": first.cost_pico_usd, "tokens": first.tokens, "requests": 1}
    return replace(full, needed=needed[full.budget.unit])


def _with_least_needed(
    full: Standing, request: Request, decision: Decision, catalog: Catalog
) -> Standing:
    """The budget, with the least that any model refused for it may use as ``needed``."""
    refused = [c for c in decision.candidates if c.excluded and c.excluded.kind == "over_budget"]
    if full.budget.per == "model" or not refused:
        return full
    most = [bound(request, decision.features, catalog.deployments[c.deployment]) for c in refused]
    amounts = [a for one in most if (a := _with_needed(full, one).needed) is not None]
    return replace(full, needed=min(amounts, default=None))


def narrowed(
    limits: Constraints, full: tuple[Standing, ...], most: Mapping[str, Bound], catalog: Catalog
) -> Constraints:
    """The request's constraints, narrowed so that it may fit the full budgets."""
    deny, drafts = set(limits.deny), limits.drafts
    costs = [] if limits.most_pico_usd is None else [limits.most_pico_usd]
    tokens = [] if limits.most_tokens is None else [limits.most_tokens]
    for standing in full:
        budget = standing.budget
        if budget.per == "model":
            over_budget = _over_budget(standing, most, catalog)
            if not over_budget and _verifies_drafts(standing, most, catalog):
                drafts = False
            else:
                deny |= over_budget or {standing.subject}
        elif standing.needed is None:
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

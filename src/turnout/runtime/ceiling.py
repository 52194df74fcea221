"""The most a request can cost: what a hold must cover before the first byte goes upstream."""

from collections.abc import Iterable

from turnout.catalog import Catalog
from turnout.core import Bound, Decision, Request
from turnout.decision import bound


def bounds(request: Request, decision: Decision, catalog: Catalog) -> dict[str, Bound]:
    """The most that any one attempt can use, by deployment of the plan."""
    return {
        route.deployment: bound(request, decision.features, catalog.deployments[route.deployment])
        for route in decision.routes
    }


def ceiling(found: Iterable[Bound]) -> int | None:
    """Upper bound in pico-dollars of any one attempt; None when a route's price is unknown."""
    most = 0
    for one in found:
        if one.cost_pico_usd is None:
            return None
        most = max(most, one.cost_pico_usd)
    return most

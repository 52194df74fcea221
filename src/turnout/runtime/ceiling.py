"""The most a request can cost: what a hold must cover before the first byte goes upstream."""

from turnout.catalog import Catalog
from turnout.core import Bound, Decision, Request
from turnout.decision import bound, input_tokens
from turnout.runtime.means import Verifier


def bounds(
    request: Request, decision: Decision, catalog: Catalog, verifier: Verifier | None = None
) -> dict[str, Bound]:
    """The most that any one attempt can use, by deployment of the plan.

    A draft's bound covers its verdict as well.
    """
    found: dict[str, Bound] = {}
    for route in decision.routes:
        deployment = catalog.deployments[route.deployment]
        most = bound(request, decision.features, deployment)
        if verifier is not None and route.role == "draft":
            prompt = input_tokens(decision.features, deployment)
            verdict = verifier.ceiling(prompt, most.tokens - prompt)
            known = verdict is not None and most.cost_pico_usd is not None
            cost = (most.cost_pico_usd or 0) + (verdict or 0) if known else None
            most = Bound(cost, 2 * most.tokens)
        found[route.deployment] = most
    return found

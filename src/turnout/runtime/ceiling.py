"""The most a request can cost: what a hold must cover before the first byte goes upstream."""

from turnout.catalog import Catalog
from turnout.core import Decision, Request
from turnout.decision import input_tokens
from turnout.runtime.verify import Verifier


def ceiling(
    request: Request, decision: Decision, catalog: Catalog, verifier: Verifier | None = None
) -> int | None:
    """Upper bound in pico-dollars of any one attempt; None when a route's price is unknown.

    A draft's bound covers its verdict as well. The prompt is counted as it is; the answer as long
    as the caller's cap or the model allows.
    """
    most = 0
    for route in decision.routes:
        deployment = catalog.deployments[route.deployment]
        if deployment.price is None:
            return None
        prompt = input_tokens(decision.features, deployment)
        card = deployment.card
        room = max(0, card.context_window - prompt)
        longest = min(request.max_output_tokens or room, card.max_output or room, room)
        bound = deployment.price.expected_cost(prompt, longest)
        if verifier is not None and route.role == "draft":
            verdict = verifier.ceiling(prompt, longest)
            if verdict is None:
                return None
            bound += verdict
        most = max(most, bound)
    return most

"""The most that a request can use: what must be held before anything is sent to a provider."""

from collections.abc import Mapping
from functools import reduce

from msgspec import structs

from turnout.catalog import Catalog
from turnout.core import Bound, Decision, Request
from turnout.core.budget import sum_of_bounds
from turnout.decision import bounds_at, input_tokens
from turnout.runtime.means import Verifier


def bounds(
    request: Request, decision: Decision, catalog: Catalog, verifier: Verifier | None = None
) -> dict[str, Bound]:
    """The most that one attempt can use, for each deployment of the plan.

    A draft's bound covers its verification as well.
    """
    planned = [catalog.deployments[route.deployment] for route in decision.routes]
    found = bounds_at(planned, request, decision.features)
    if verifier is None:
        return found
    for route, deployment in zip(decision.routes, planned, strict=True):
        if route.role == "draft":
            most, prompt = found[deployment.id], input_tokens(decision.features, deployment)
            found[deployment.id] = _with_verification(
                deployment.id, most, verifier.verdict_bounds(prompt, most.tokens - prompt)
            )
    return found


def _with_verification(draft: str, most: Bound, verdict: Mapping[str, Bound]) -> Bound:
    """The bound of a draft and its verification; a model that verifies itself has one part."""
    if not verdict:
        return most
    parts = {draft: most}
    for judge, more in verdict.items():
        parts[judge] = sum_of_bounds(parts[judge], more) if judge in parts else more
    return structs.replace(reduce(sum_of_bounds, parts.values()), parts=parts)

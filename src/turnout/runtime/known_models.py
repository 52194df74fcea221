"""Which models a provider lists.

Invariant: the provider is asked only when somebody requests it.
"""

import orjson

from turnout.catalog import Deployment, Provider
from turnout.catalog.served import is_other_model
from turnout.core.nearest import nearest
from turnout.providers import Timeouts, Transport, TransportError, WireRequest, read_all
from turnout.providers.credentials import with_credentials
from turnout.providers.errors import classify, read_error
from turnout.providers.scrub import secrets_of


async def known_models(
    provider: Provider, transport: Transport, patience_s: float = 20.0
) -> list[str]:
    """The ids in the provider's list of models. Raises TransportError, also for an error status."""
    # Anthropic's list has twenty models a page otherwise.
    path = "models?limit=1000" if provider.family == "anthropic" else "models"
    request = WireRequest(
        url=f"{provider.base_url}/{path}",
        body=b"",
        headers=with_credentials(provider, {}),
        method="GET",
    )
    response = await transport.send(request, Timeouts(total_s=patience_s))
    body = await read_all(response)
    if response.status >= 300:
        error, secrets = read_error(body), secrets_of(provider)
        raise TransportError(classify(response.status, error, secrets=secrets))
    try:
        return [str(model["id"]) for model in orjson.loads(body)["data"]]
    except (ValueError, KeyError, TypeError):
        return []


def listing_status(deployment: Deployment, ids: list[str]) -> str:
    """Whether the provider lists the deployment's model, and the nearest id if it does not."""
    if any(not is_other_model(deployment.model, known) for known in ids):
        return "there"
    near = nearest(deployment.model, ids)
    return f"not there; nearest is {near}" if near else "not there"


async def check_listed(deployment: Deployment, transport: Transport) -> str:
    """Whether the deployment's model is there, or why that is unknown, in words."""
    try:
        ids = await known_models(deployment.provider, transport)
    except TransportError as error:
        return f"unknown: {error}"
    return listing_status(deployment, ids) if ids else "unknown: the provider lists no models"

"""What balancing needs to know of a request and of the moment, gathered for the pure decision.

Invariant: a router without balancing does none of this.
"""

from collections.abc import Mapping

from msgspec import structs

from turnout.core import Request
from turnout.decision import SIGNED_BY, Balance, Rulebook
from turnout.providers.signatures import signer_of
from turnout.runtime.health import Health


def placed(request: Request, rules: Rulebook) -> Request:
    """The request, tagged with the deployment whose signed thoughts it brings back, if any."""
    if rules.balance is None:
        return request
    several = {name: rules.catalog.deployments[name] for name in rules.balance.group_of}
    signer = signer_of(request.body, several)
    return structs.replace(request, tags={**request.tags, SIGNED_BY: signer}) if signer else request


def outstanding(balance: Balance | None, health: Health) -> Mapping[str, int]:
    """Calls under way where a model has several deployments."""
    return {} if balance is None else health.outstanding(balance.group_of)

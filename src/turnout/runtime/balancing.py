"""What the pure decision needs to balance load: who signed a request's thoughts, calls under way.

Invariant: a router whose models have one deployment each does none of this.
"""

from collections.abc import Mapping

from msgspec import structs

from turnout.core import Request
from turnout.decision import SIGNED_BY, Balance, Rulebook
from turnout.providers.signatures import signer_of
from turnout.runtime.health import Health


def with_signer(request: Request, rules: Rulebook) -> Request:
    """The request, tagged with the deployment that signed the thoughts it holds, if any did."""
    if rules.balance is None:
        return request
    deployments = {name: rules.catalog.deployments[name] for name in rules.balance.group_of}
    signer = signer_of(request.body, deployments)
    return structs.replace(request, tags={**request.tags, SIGNED_BY: signer}) if signer else request


def outstanding(balance: Balance | None, health: Health) -> Mapping[str, int]:
    """The calls under way at each deployment of models that have several."""
    return {} if balance is None else health.outstanding(balance.group_of)

"""Which price bills a call when the provider says that it served another model.

A dated or tagged release of the called model, or another spelling, counts as that model. This
module does not know where prices come from.
"""

import re
from functools import lru_cache

from turnout.catalog.catalog import Catalog, Deployment

_RELEASE = re.compile(r"([-@:]\d{4}-?\d{2}-?\d{2}|[-@]\d{4}|-latest)*")


@lru_cache(maxsize=1024)
def is_other_model(called: str, served: str | None) -> bool:
    """Whether ``served`` names another model than ``called``."""
    if served is None:
        return False
    called_name, served_name = (name.casefold().rpartition("/")[2] for name in (called, served))
    short, long = sorted((called_name, served_name), key=len)
    return not (long.startswith(short) and _RELEASE.fullmatch(long[len(short) :]))


def billed_deployment(
    called: Deployment, served: str | None, catalog: Catalog
) -> Deployment | None:
    """The deployment whose price bills a call to ``called``; None if the price is unknown."""
    if not is_other_model(called.model, served):
        return called
    for deployment in catalog.deployments.values():
        same_place = deployment.provider.name == called.provider.name
        if same_place and not is_other_model(deployment.model, served):
            return deployment
    return None

"""Models, deployments, providers and their dated prices."""

from turnout.catalog.build import build
from turnout.catalog.caching import (
    LASTING_S,
    LEAST_TOKENS,
    LIFE_S,
    bills_writing,
    is_discounted,
    kept_unasked,
    reads_marked,
)
from turnout.catalog.catalog import Catalog, Deployment, ModelCard, Provider, usual_cap
from turnout.catalog.price import Price, Rates
from turnout.catalog.served import billed, is_other

__all__ = [
    "LASTING_S",
    "LEAST_TOKENS",
    "LIFE_S",
    "Catalog",
    "Deployment",
    "ModelCard",
    "Price",
    "Provider",
    "Rates",
    "billed",
    "bills_writing",
    "build",
    "is_discounted",
    "is_other",
    "kept_unasked",
    "reads_marked",
    "usual_cap",
]

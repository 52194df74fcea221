"""Models, deployments, providers and their dated prices."""

from turnout.catalog.build import build
from turnout.catalog.catalog import Catalog, Deployment, ModelCard, Provider, usual_cap
from turnout.catalog.price import Price, Rates
from turnout.catalog.served import billed, is_other

__all__ = [
    "Catalog",
    "Deployment",
    "ModelCard",
    "Price",
    "Provider",
    "Rates",
    "billed",
    "build",
    "is_other",
    "usual_cap",
]

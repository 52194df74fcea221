"""Models, deployments, providers and their dated prices."""

from turnout.catalog.build import build
from turnout.catalog.caching import (
    CACHE_LIFE_S,
    LONG_CACHE_LIFE_S,
    MIN_CACHED_TOKENS,
    automatic_cache_tokens,
    bills_cache_writes,
    is_cache_discounted,
    needs_cache_marks,
)
from turnout.catalog.catalog import Catalog, Deployment, ModelCard, Provider, default_max_tokens
from turnout.catalog.price import Price, Rates
from turnout.catalog.served import billed_deployment, is_other_model

__all__ = [
    "CACHE_LIFE_S",
    "LONG_CACHE_LIFE_S",
    "MIN_CACHED_TOKENS",
    "Catalog",
    "Deployment",
    "ModelCard",
    "Price",
    "Provider",
    "Rates",
    "automatic_cache_tokens",
    "billed_deployment",
    "bills_cache_writes",
    "build",
    "default_max_tokens",
    "is_cache_discounted",
    "is_other_model",
    "needs_cache_marks",
]

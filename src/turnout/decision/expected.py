"""What a call is expected to cost, by the classes in which its prompt is billed.

Invariant: what may be in a cache lowers the cost that ranks, and no other: a cache may be gone, so
that limits and holds count the full price. This module does not know where a cache stands.
"""

from typing import NamedTuple

from turnout.catalog import (
    LEAST_TOKENS,
    Deployment,
    Price,
    bills_writing,
    is_discounted,
    reads_marked,
)
from turnout.core import Features


class Expected(NamedTuple):
    """Pico-dollars as expected and with a cold cache, and the tokens read and written."""

    cost_pico_usd: int | None
    cold_pico_usd: int | None
    read: int = 0
    written: int = 0


def expected(
    deployment: Deployment, features: Features, prompt: int, answer: int, cached: int
) -> Expected:
    """What a prompt and an answer of so many tokens cost there, where ``cached`` may be read."""
    price = None if features.paid_by_call else deployment.price
    if price is None:
        return Expected(None, None)
    if prompt < LEAST_TOKENS:
        cost = price.expected_cost(prompt, answer)
        return Expected(cost, cost)
    return _long(deployment, price, features, prompt, answer, cached)


def _long(
    deployment: Deployment, price: Price, features: Features, prompt: int, answer: int, cached: int
) -> Expected:
    writes = bills_writing(deployment, price, prompt, marked=features.marked)
    if writes:
        price = deployment.billing(lasting=features.lasting) or price
    cold = price.expected_cost(prompt, answer, cache_write=prompt if writes else 0)
    readable = features.marked or not reads_marked(deployment)
    read = min(cached, prompt) if readable and is_discounted(price, prompt) else 0
    written = prompt - read if writes else 0
    cost = price.expected_cost(prompt, answer, cache_read=read, cache_write=written)
    return Expected(cost, cold, read, written)

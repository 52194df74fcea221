"""What a call is expected to cost, by the classes in which its prompt is billed.

Invariant: what may be in a cache lowers the cost that ranks, and no other: a cache may be gone, so
that limits and holds count the full price. This module does not know where a cache stands.
"""

from turnout.catalog import (
    LEAST_TOKENS,
    Deployment,
    bills_writing,
    is_discounted,
    reads_marked,
)
from turnout.core import Features

# Pico-dollars as expected and with a cold cache, and the tokens read from it and written to it.
Expected = tuple[int | None, int | None, int, int]
_UNKNOWN: Expected = (None, None, 0, 0)


def expected(
    deployment: Deployment, features: Features, prompt: int, answer: int, cached: int
) -> Expected:
    """What a prompt and an answer of so many tokens cost there, where ``cached`` may be read."""
    price = deployment.price
    if price is None or features.paid_by_call:
        return _UNKNOWN
    if prompt < LEAST_TOKENS:
        cost = price.expected_cost(prompt, answer)
        return cost, cost, 0, 0
    writes = bills_writing(deployment, price, prompt, marked=features.marked)
    if writes:
        price = deployment.billing(lasting=features.lasting) or price
    cold = price.expected_cost(prompt, answer, cache_write=prompt if writes else 0)
    readable = cached and (features.marked or not reads_marked(deployment))
    read = min(cached, prompt) if readable and is_discounted(price, prompt) else 0
    written = prompt - read if writes else 0
    if not read:
        return cold, cold, 0, written
    cost = price.expected_cost(prompt, answer, cache_read=read, cache_write=written)
    return cost, cold, read, written

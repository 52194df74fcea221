"""What a call is expected to cost, by the classes in which its prompt is billed.

Invariant: what may be in a cache lowers the cost that ranks, and no other: a cache may be gone, so
that limits and holds count the full price. This module does not know where a cache stands.
"""

from msgspec import Struct

from turnout.catalog import (
    LEAST_TOKENS,
    Deployment,
    bills_writing,
    is_discounted,
    kept_unasked,
    reads_marked,
)
from turnout.core import Features


class Expected(Struct, frozen=True):
    """Pico-dollars of a call, and the tokens of its prompt that are ``read`` and ``written``.

    ``cold`` is its cost without anything to read, ``ranked`` the one that ranks it.
    """

    cost: int | None
    cold: int | None
    read: int = 0
    written: int = 0
    ranked: int | None = None


def expected(
    deployment: Deployment,
    features: Features,
    prompt: int,
    answer: int,
    cached: int | None,
    warmest: int,
) -> Expected:
    """What a prompt and an answer of so many tokens cost there, where ``cached`` may be read.

    ``warmest`` is the most that any deployment has of the prompt. Half as many turns as there were
    are expected to read what this one reads in, whose cost is spread over them: a conversation that
    had many is likely to have as many again, and not all of them stay with one model.
    """
    price = deployment.price_for(features)
    if price is None:
        return Expected(None, None)
    if prompt < LEAST_TOKENS:
        cost = price.expected_cost(prompt, answer)
        return Expected(cost, cost)
    writes = bills_writing(deployment, price, prompt, marked=features.marked)
    if writes:
        price = price.billing(lasting=deployment.lasts(features))

    def cost_of(read: int) -> int:
        written = prompt - read if writes else 0
        return price.expected_cost(prompt, answer, cache_read=read, cache_write=written)

    cold = cost_of(0)
    readable = features.marked or not reads_marked(deployment)
    if not (warmest and readable and is_discounted(price, prompt)):
        return Expected(cold, cold, 0, prompt if writes else 0)
    read = min(cached or 0, prompt)
    cost = cost_of(read)
    ranked = None
    if features.answers and cached != 0 and (writes or kept_unasked(deployment, prompt)):
        later = cost_of(min(warmest, prompt))
        ranked = later + 2 * (cost - later) // (2 + features.answers) if later < cost else None
    return Expected(cost, cold, read, prompt - read if writes else 0, ranked)

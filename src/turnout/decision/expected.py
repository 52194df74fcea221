"""What a call is expected to cost, with the discount of a prompt cache.

Invariant: the discount lowers only the cost that candidates are ranked by. Limits and holds count
the full price, since a cache may be gone. This module does not know what is in a cache.
"""

from msgspec import Struct

from turnout.catalog import (
    MIN_CACHED_TOKENS,
    Deployment,
    automatic_cache_tokens,
    bills_cache_writes,
    is_cache_discounted,
    needs_cache_marks,
)
from turnout.core import Features


class Expected(Struct, frozen=True):
    """Pico-dollars of a call, and the tokens of its prompt that a cache reads and writes.

    ``cold`` is its cost with an empty cache, ``ranked`` the cost to rank it by if that differs from
    ``cost``.
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
    """What a prompt and an answer of so many tokens cost at a deployment.

    ``cached`` is how many of the prompt's tokens its cache is expected to hold (None: unknown),
    ``warmest`` the most that any deployment's cache holds. Later turns will read what this call
    writes to the cache. Its cost is therefore spread over this turn and further ones, half as many
    as were answered so far: a long conversation tends to go on, but may change its model.
    What costs more than its listed price is ranked by that, since nothing better is known.
    """
    price = deployment.price_for(features)
    if price is None:
        listed = deployment.price if deployment.unlisted_field(features) else None
        ranked = None if listed is None else listed.expected_cost(prompt, answer)
        return Expected(None, None, ranked=ranked)
    if prompt < MIN_CACHED_TOKENS:
        cost = price.expected_cost(prompt, answer)
        return Expected(cost, cost)
    writes = bills_cache_writes(deployment, price, prompt, marked=features.marked)
    if writes and features.hour_cache:
        price = deployment.hour_cache_price(price)

    def cost_of(read: int) -> int:
        written = prompt - read if writes else 0
        return price.expected_cost(prompt, answer, cache_read=read, cache_write=written)

    cold = cost_of(0)
    readable = features.marked or not needs_cache_marks(deployment)
    if not (warmest and readable and is_cache_discounted(price, prompt)):
        return Expected(cold, cold, 0, prompt if writes else 0)
    read = min(cached or 0, prompt)
    cost = cost_of(read)
    ranked = None
    if features.answers and cached != 0 and (writes or automatic_cache_tokens(deployment, prompt)):
        later = cost_of(min(warmest, prompt))
        ranked = later + 2 * (cost - later) // (2 + features.answers) if later < cost else None
    return Expected(cost, cold, read, prompt - read if writes else 0, ranked)

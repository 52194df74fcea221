"""Says in the reason when a prompt cache decided which candidate comes first.

This module does not know what a cache is worth.
"""

from collections.abc import Callable, Sequence

from msgspec import structs

from turnout.core import Candidate
from turnout.policies import Score

Rank = Callable[[Sequence[Candidate]], Sequence[Score]]
_LATER = "the turns to come will find the prompt in its cache"


def rank_noting_caches(rank: Rank, candidates: Sequence[Candidate]) -> Sequence[Score]:
    """The ranking by ``rank``, which puts the best first.

    If a cache made the first one the first, its reason says so.
    """
    scores = rank(candidates)
    if not scores:
        return scores
    best = scores[0]
    if best.deployment == rank([_with_cold_caches(c) for c in candidates])[0].deployment:
        return scores
    read = {c.deployment: c.cache_read_tokens for c in candidates}[best.deployment]
    why = f"{read:,} tokens of the prompt are in its cache" if read else _LATER
    explained = structs.replace(best, reason=f"{best.reason}, as {why}")
    return [explained, *scores[1:]]


def _with_cold_caches(candidate: Candidate) -> Candidate:
    """The candidate as if no cache held anything, now or later."""
    cold = candidate.cold_pico_usd
    return structs.replace(
        candidate,
        cost_pico_usd=candidate.cost_pico_usd if cold is None else cold,
        cache_read_tokens=0,
        cold_pico_usd=None,
        ranked_pico_usd=None,
    )

"""Tells when a prompt cache decided: without it, the ranking would have put another first.

This module does not know what a cache is worth.
"""

from collections.abc import Callable, Sequence

from msgspec import structs

from turnout.core import Candidate
from turnout.policies import Score

Rank = Callable[[Sequence[Candidate]], Sequence[Score]]
_LATER = "the turns to come will find the prompt in its cache"


def ranked_warm(rank: Rank, candidates: Sequence[Candidate]) -> Sequence[Score]:
    """The ranking by ``rank``, which puts the best first.

    If a cache made the first one the first, its reason says so.
    """
    scores = rank(candidates)
    if not scores:
        return scores
    best = scores[0]
    if best.deployment == rank([_cold(c) for c in candidates])[0].deployment:
        return scores
    read = {c.deployment: c.cache_read_tokens for c in candidates}[best.deployment]
    why = f"{read:,} tokens of the prompt are in its cache" if read else _LATER
    told = structs.replace(best, reason=f"{best.reason}, as {why}")
    return [told, *scores[1:]]


def _cold(candidate: Candidate) -> Candidate:
    """The candidate as if no cache held anything, now or later."""
    cold = candidate.cold_pico_usd
    return structs.replace(
        candidate,
        cost_pico_usd=candidate.cost_pico_usd if cold is None else cold,
        cache_read_tokens=0,
        cold_pico_usd=None,
        ranked_pico_usd=None,
    )

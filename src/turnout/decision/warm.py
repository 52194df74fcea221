"""Says where a prompt cache decided: the same ranking without it would have chosen another.

This module does not know what a cache is worth.
"""

from collections.abc import Callable, Sequence

from msgspec import structs

from turnout.core import Candidate
from turnout.policies import Score

Rank = Callable[[Sequence[Candidate]], Sequence[Score]]


def ranked_warm(rank: Rank, candidates: Sequence[Candidate]) -> Sequence[Score]:
    """The ranking, its first reason saying so where what is in a cache made it the first."""
    scores = rank(candidates)
    if not scores or all(c.cold_pico_usd is None for c in candidates):
        return scores
    best = _first(scores)
    if best.deployment == _first(rank([_cold(c) for c in candidates])).deployment:
        return scores
    read = {c.deployment: c.cache_read_tokens for c in candidates}[best.deployment]
    why = f"{best.reason}, as {read:,} tokens of the prompt are in its cache"
    told = structs.replace(best, reason=why)
    return [told if score is best else score for score in scores]


def _first(scores: Sequence[Score]) -> Score:
    return max(scores, key=lambda score: score.value)


def _cold(candidate: Candidate) -> Candidate:
    if candidate.cold_pico_usd is None:
        return candidate
    return structs.replace(
        candidate, cost_pico_usd=candidate.cold_pico_usd, cold_pico_usd=None, cache_read_tokens=0
    )

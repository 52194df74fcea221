"""Efforts of thinking in words, and the budgets in tokens that they stand for.

Invariant: a word's budget gives that word back, for the three words that all providers know.
This module does not know who thinks.
"""

BUDGETS = {"low": 2048, "medium": 8192, "high": 24_576, "xhigh": 32_768, "max": 65_536}
USUAL = ("low", "medium", "high")


def effort_of(budget: int) -> str:
    """The least of the three usual efforts whose budget is no smaller, else the greatest."""
    return next((effort for effort in USUAL if budget <= BUDGETS[effort]), USUAL[-1])

"""Reasoning efforts as words, and the thinking budgets in tokens that they stand for.

Invariant: for the three words that most models know, a word's budget leads back to the word.
"""

BUDGETS = {"low": 2048, "medium": 8192, "high": 24_576, "xhigh": 32_768, "max": 65_536}
USUAL = ("low", "medium", "high")
# The efforts that many models lack, each with the one to ask them for instead.
NEAREST = {"max": "xhigh", "xhigh": "high", "minimal": "low"}
# Types of Anthropic's ``thinking`` that turn it on.
THINKING = ("enabled", "adaptive")


def effort_of(budget: int) -> str:
    """The lowest of the usual efforts whose budget is at least ``budget``, else the highest."""
    return next((effort for effort in USUAL if budget <= BUDGETS[effort]), USUAL[-1])

"""The replay driver: walks a plan with outcomes from a table instead of calls.

Invariant: it asks the same ``next_attempt`` as serving, so fallbacks are evaluated too.
"""

from collections.abc import Callable

from turnout.core import Decision, Outcome
from turnout.decision import Attempt, RetryRules, next_attempt


def replay(
    decision: Decision, rules: RetryRules, look_up: Callable[[Attempt], Outcome]
) -> tuple[Outcome, ...]:
    """Every outcome of the walk in order, without its waits."""
    outcomes: list[Outcome] = []
    while (attempt := next_attempt(decision, rules, outcomes)) is not None:
        outcomes.append(look_up(attempt))
    return tuple(outcomes)

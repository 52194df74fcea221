"""The replay driver: walks a plan with outcomes from a table instead of calls.

Invariant: it drives the same ``attempts`` as serving, so fallbacks are evaluated too.
"""

from collections.abc import Callable

from turnout.core import Decision, Outcome
from turnout.decision import Attempt, RetryRules, attempts


def replay(
    decision: Decision, rules: RetryRules, look_up: Callable[[Attempt], Outcome]
) -> tuple[Outcome, ...]:
    """Every outcome of the walk in order, without its waits."""
    plan = attempts(decision, rules)
    attempt = next(plan, None)
    while attempt is not None:
        try:
            attempt = plan.send(look_up(attempt))
        except StopIteration as end:
            return tuple(end.value)
    return ()

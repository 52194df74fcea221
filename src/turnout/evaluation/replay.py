"""The replay driver: walks a plan with outcomes that are looked up instead of called for.

Invariant: it drives the same ``attempts`` as serving does, so fallbacks are evaluated too.
"""

from collections.abc import Callable

from turnout.core import Decision, Outcome
from turnout.decision import Attempt, RetryRules, attempts


def replay(
    decision: Decision, rules: RetryRules, look_up: Callable[[Attempt], Outcome]
) -> tuple[Outcome, ...]:
    """Every outcome of the walk in order; waits are not waited for."""
    plan = attempts(decision, rules)
    attempt = next(plan, None)
    while attempt is not None:
        try:
            attempt = plan.send(look_up(attempt))
        except StopIteration as end:
            return tuple(end.value)
    return ()

"""Decide, and walk what was decided: the only code that chooses."""

from turnout.decision.attempts import Attempt, RetryRules, attempts
from turnout.decision.decide import PARENTS, Rulebook, decide, decision_id
from turnout.decision.eligible import expected_cost, input_tokens
from turnout.decision.safety import SafetyRule

__all__ = [
    "PARENTS",
    "Attempt",
    "RetryRules",
    "Rulebook",
    "SafetyRule",
    "attempts",
    "decide",
    "decision_id",
    "expected_cost",
    "input_tokens",
]

"""Decides on requests and on the next attempt: the only code that chooses."""

from turnout.decision.attempts import Attempt, RetryRules, next_attempt
from turnout.decision.balance import SIGNED_BY, Balance, Group
from turnout.decision.bound import bound, bounds_at, input_tokens, lowered_cap
from turnout.decision.decide import Rulebook, decide, decision_id, is_pinned
from turnout.decision.knobs import Knobs
from turnout.decision.reach import reachable_names
from turnout.decision.safety import BLOCKS_NOTHING, SafetyRule
from turnout.decision.served import label_parents, served_intent

__all__ = [
    "BLOCKS_NOTHING",
    "SIGNED_BY",
    "Attempt",
    "Balance",
    "Group",
    "Knobs",
    "RetryRules",
    "Rulebook",
    "SafetyRule",
    "bound",
    "bounds_at",
    "decide",
    "decision_id",
    "input_tokens",
    "is_pinned",
    "label_parents",
    "lowered_cap",
    "next_attempt",
    "reachable_names",
    "served_intent",
]

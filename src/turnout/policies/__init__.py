"""Policies: pure rules that rank eligible candidates."""

from turnout.policies.baselines import Cheapest, Fixed, Random, Strongest
from turnout.policies.intent_map import IntentMap
from turnout.policies.protocol import Policy, Score, Situation, cost_of, draw, in_order

__all__ = [
    "Cheapest",
    "Fixed",
    "IntentMap",
    "Policy",
    "Random",
    "Score",
    "Situation",
    "Strongest",
    "cost_of",
    "draw",
    "in_order",
]

"""Policies: pure rules that rank eligible candidates."""

from turnout.policies.baselines import Cheapest, Fixed, Random, Strongest
from turnout.policies.cascade import Cascade
from turnout.policies.explore import Explore
from turnout.policies.intent_map import IntentMap
from turnout.policies.predicted import CheapestAboveQuality, Utility
from turnout.policies.protocol import Policy, Score, Situation, draw, in_order, weighted_draw
from turnout.policies.rules import Rule, Rules
from turnout.policies.weighted import Weighted

__all__ = [
    "Cascade",
    "Cheapest",
    "CheapestAboveQuality",
    "Explore",
    "Fixed",
    "IntentMap",
    "Policy",
    "Random",
    "Rule",
    "Rules",
    "Score",
    "Situation",
    "Strongest",
    "Utility",
    "Weighted",
    "draw",
    "in_order",
    "weighted_draw",
]

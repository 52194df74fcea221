"""How a Claude is told to think: with a budget of tokens, or with an effort.

Models before 4.6 know the budget only, those from 4.7 on the effort only; 4.6 knows both. A model
without a number in its name is taken for one of the first.
Source: platform.claude.com/docs/en/build-with-claude/adaptive-thinking.
This module does not know requests.
"""

from collections.abc import Mapping
from typing import Any

from turnout.catalog.claudes import version
from turnout.core.effort import BUDGETS, effort_of

_ADAPTIVE = (4, 6)
_FIRST = (4, 5)
_LEAST = 1024
# What others call an effort that no Claude has a word for.
_SAME = {"minimal": "low"}
# The one word that only models from 4.7 on know.
_NEWEST, _FOR_NEWEST, _ELSE = "xhigh", (4, 7), "high"

Fields = dict[str, Any]


def thinking(model: str, effort: str, cap: int) -> Fields:
    """The fields by which ``model`` thinks with this effort in an answer of ``cap`` tokens.

    Empty where the effort is none, or leaves a budget that is too small to think with.
    """
    effort = _SAME.get(effort, effort)
    if effort not in BUDGETS:
        return {}
    if not _by_effort(model):
        budget = min(BUDGETS[effort], cap - 1)
        enabled = {"type": "enabled", "budget_tokens": budget}
        return {"thinking": enabled} if budget >= _LEAST else {}
    word = _ELSE if effort == _NEWEST and version(model) < _FOR_NEWEST else effort
    return {"thinking": {"type": "adaptive"}, "output_config": {"effort": word}}


def beside(config: Mapping[str, Any], told: Fields) -> Fields:
    """The fields of thinking with what else an ``output_config`` says."""
    whole = {**config, **told.get("output_config", {})}
    return {**told, "output_config": whole} if whole else told


def in_words_of(model: str, body: Mapping[str, Any]) -> Fields:
    """A Messages body whose thinking is asked for in a way that ``model`` understands."""
    asked = body.get("thinking") or {}
    kind = asked.get("type")
    config = dict(body.get("output_config") or {})
    if kind == "enabled" and _by_effort(model):
        effort = config.get("effort") or effort_of(asked.get("budget_tokens") or BUDGETS["high"])
    elif kind == "adaptive" and not _by_effort(model):
        effort = config.pop("effort", "high")
    elif "effort" in config and not _takes_effort(model):
        # Without thinking an effort only tunes, and the model refuses the word.
        config.pop("effort")
        rest = {n: v for n, v in body.items() if n != "output_config"}
        return {**rest, "output_config": config} if config else rest
    else:
        return dict(body)
    kept = {n: v for n, v in body.items() if n not in ("thinking", "output_config")}
    return {**kept, **beside(config, thinking(model, effort, body["max_tokens"]))}


def _takes_effort(model: str) -> bool:
    """Whether the model knows the word at all: one did before the others."""
    return _by_effort(model) or (version(model) == _FIRST and "opus" in model.lower())


def _by_effort(model: str) -> bool:
    """Whether the model is told an effort."""
    return version(model) >= _ADAPTIVE

"""How to ask a Claude to think: with a budget of tokens, or with an effort.

Models before 4.6 take only a budget, models from 4.7 on only an effort, and 4.6 takes both. Models
from 4.7 on hide their thoughts unless they are asked for. A model without a version in its name
counts as one before 4.6.
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
# The cap is for thoughts and answer together; an eighth of it is left to the answer.
_ANSWER_SHARE = 8
# Efforts of other providers, and the effort of Claudes that stands for them.
_SAME = {"minimal": "low"}
# The effort that only models from this version on take, and what the others get.
_NEWEST, _FOR_NEWEST, _ELSE = "xhigh", (4, 7), "high"
_HIDING = (4, 7)  # the first version that hides its thoughts
_OWN = ("type", "budget_tokens")  # fields of ``thinking`` that each model has its own way for

Fields = dict[str, Any]


def thinking(model: str, effort: str, cap: int, asked: Mapping[str, Any]) -> Fields:
    """The fields that make ``model`` think with this effort in an answer of at most ``cap`` tokens.

    ``asked`` is the caller's own ``thinking``, of which ``display`` and the like are kept. Empty if
    the effort is none, or if the cap leaves too little for a thought and an answer.
    """
    effort = _SAME.get(effort, effort)
    if effort not in BUDGETS:
        return {}
    kept = {name: value for name, value in asked.items() if name not in _OWN}
    if not _by_effort(model):
        budget = budget_within(BUDGETS[effort], cap)
        enabled = {"type": "enabled", "budget_tokens": budget, **kept}
        return {"thinking": enabled} if budget >= _LEAST else {}
    word = _ELSE if effort == _NEWEST and version(model) < _FOR_NEWEST else effort
    shown = {"display": "summarized"} if version(model) >= _HIDING else {}
    adaptive = {"type": "adaptive", **shown, **kept}
    return {"thinking": adaptive, "output_config": {"effort": word}}


def budget_within(budget: int, cap: int) -> int:
    """The budget of thoughts, if need be lowered so that the cap leaves room for the answer."""
    return min(budget, cap - cap // _ANSWER_SHARE)


def with_config(config: Mapping[str, Any], fields: Fields) -> Fields:
    """The fields of thinking, together with the other fields of ``output_config``."""
    whole = {**config, **fields.get("output_config", {})}
    return {**fields, "output_config": whole} if whole else fields


def with_thinking_for(model: str, body: Mapping[str, Any]) -> Fields:
    """A Messages body that asks for thinking in the way that ``model`` takes."""
    asked = body.get("thinking") or {}
    kind = asked.get("type")
    config = dict(body.get("output_config") or {})
    if kind == "enabled" and _by_effort(model):
        effort = config.get("effort") or effort_of(asked.get("budget_tokens") or BUDGETS["high"])
    elif kind == "adaptive" and not _by_effort(model):
        effort = config.pop("effort", "high")
    elif "effort" in config and not _takes_effort(model):
        # Without thinking an effort changes little, and the model refuses the field.
        config.pop("effort")
        rest = {n: v for n, v in body.items() if n != "output_config"}
        return {**rest, **with_config(config, {})}
    else:
        return dict(body)
    kept = {n: v for n, v in body.items() if n not in ("thinking", "output_config")}
    fields = thinking(model, effort, body["max_tokens"], asked)
    return {**kept, **with_config(config, fields)}


def _takes_effort(model: str) -> bool:
    """Whether the model takes the field at all; Opus 4.5 was the first."""
    return _by_effort(model) or (version(model) == _FIRST and "opus" in model.lower())


def _by_effort(model: str) -> bool:
    """Whether an effort turns the model's thinking on."""
    return version(model) >= _ADAPTIVE

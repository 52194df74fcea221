"""Asks a model for a label, within a deadline; whatever goes wrong becomes a named failure.

This module does not know what the labels mean.
"""

from typing import Any

from turnout.classifiers.llm import answer_tokens, build, parse, response_format
from turnout.core import Bound, BudgetExceeded, Outcome, Request
from turnout.decision import decision_id
from turnout.runtime.aside import aside, said
from turnout.runtime.call import Call
from turnout.runtime.classifying import Asked
from turnout.runtime.means import Means


async def ask_label(
    request: Request, asked: Asked, means: Means
) -> tuple[str | None, str | None, Outcome | None]:
    """The label, or None and why there is none; and the outcome of the call."""
    call = _call(request, asked, means)
    try:
        bounds = {asked.deployment.id: _most(call, asked)}
        await means.recorder.held(request, call.decision_id, bounds)
    except BudgetExceeded:
        # No money for a label; whether there is some for the answer is found out later.
        return None, "no budget for a label", None
    found = await said(call, asked.deadline_s, means, what="label")
    if found.text is None:
        return None, found.why, found.call
    label = parse(found.text, asked.labels)
    return label, None if label else f"unusable label of {len(found.text)} characters", found.call


def _constrained(asked: Asked) -> dict[str, Any]:
    """The setting that restricts the answer to the labels, if the provider has one."""
    if not asked.deployment.provider.json_schema:
        return {}
    return {"response_format": response_format(asked.labels)}


def _most(call: Call, asked: Asked) -> Bound:
    """The most that asking for a label can use."""
    price, tokens = call.deployment.price, answer_tokens(asked.labels)
    cost = price.most_cost(call.input_tokens, tokens) if price else None
    return Bound(cost, call.input_tokens + tokens)


def _call(request: Request, asked: Asked, means: Means) -> Call:
    body = {
        "messages": build(request.messages, asked.labels),
        "max_tokens": answer_tokens(asked.labels),
        "temperature": 0,
        **_constrained(asked),
    }
    return aside(
        body,
        asked.deployment,
        means,
        ident=f"{request.id}.label",
        decision_id=decision_id(request, means.rules),
        role="classifier",
    )

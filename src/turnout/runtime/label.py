"""Asks a model for a label, within a deadline; whatever goes wrong becomes a named failure.

This module does not know what the labels mean.
"""

from typing import Any

from turnout.classifiers.llm import label_messages, max_answer_tokens, parse_label, response_format
from turnout.core import Bound, BudgetExceeded, Outcome, Request
from turnout.decision import decision_id
from turnout.runtime.call import Call
from turnout.runtime.classifier_setup import LabelModel
from turnout.runtime.means import Means
from turnout.runtime.side_call import answer_within, side_call


async def request_label(
    request: Request, label_model: LabelModel, means: Means
) -> tuple[str | None, str | None, Outcome | None]:
    """The label, or None and why there is none; and the outcome of the call."""
    call = _label_call(request, label_model, means)
    try:
        bounds = {label_model.deployment.id: _label_bound(call, label_model)}
        await means.recorder.held(request, call.decision_id, bounds)
    except BudgetExceeded:
        # No money for a label; whether there is some for the answer is found out later.
        return None, "no budget for a label", None
    found = await answer_within(call, label_model.deadline_s, means, what="label")
    if found.text is None:
        return None, found.failure, found.call
    label = parse_label(found.text, label_model.labels)
    return label, None if label else f"unusable label of {len(found.text)} characters", found.call


def _label_format(label_model: LabelModel) -> dict[str, Any]:
    """The setting that restricts the answer to the labels, if the provider has one."""
    if not label_model.deployment.provider.json_schema:
        return {}
    return {"response_format": response_format(label_model.labels)}


def _label_bound(call: Call, label_model: LabelModel) -> Bound:
    """The most that asking for a label can use."""
    price, tokens = call.deployment.price, max_answer_tokens(label_model.labels)
    cost = price.most_cost(call.input_tokens, tokens) if price else None
    return Bound(cost, call.input_tokens + tokens)


def _label_call(request: Request, label_model: LabelModel, means: Means) -> Call:
    body = {
        "messages": label_messages(request.messages, label_model.labels),
        "max_tokens": max_answer_tokens(label_model.labels),
        "temperature": 0,
        **_label_format(label_model),
    }
    return side_call(
        body,
        label_model.deployment,
        means,
        ident=f"{request.id}.label",
        decision_id=decision_id(request, means.rules),
        role="classifier",
    )

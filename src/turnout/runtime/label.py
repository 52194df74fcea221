"""Asks a model for a label, within a deadline; whatever goes wrong is a named failure.

Does not know what the label means.
"""

import asyncio
from typing import Any

from turnout.classifiers.llm import answer_tokens, build, parse, response_format
from turnout.core import Bound, BudgetExceeded, Outcome, Request, Route
from turnout.decision import Attempt, decision_id, input_tokens
from turnout.features import extract
from turnout.runtime.call import Call
from turnout.runtime.classifying import Asked
from turnout.runtime.walk import Means


async def ask_label(
    request: Request, asked: Asked, means: Means
) -> tuple[str | None, str | None, Outcome | None]:
    """The label, or None and why there is none; and what the call cost."""
    call = _call(request, asked, means)
    try:
        most = _most(call, asked)
        bounds = {asked.deployment.id: most}
        await means.recorder.held(request, call.decision_id, most.cost_pico_usd, bounds)
    except BudgetExceeded:
        # What a label would cost is not there; whether the answer's cost is, is seen later.
        return None, "no budget for a label", None
    means.health.began(asked.deployment.id)
    answer, why = None, "no answer"
    try:
        async with asyncio.timeout(asked.deadline_s):
            answer = await call.whole()
    except TimeoutError:
        why = f"no label within {asked.deadline_s:g} s"
    except asyncio.CancelledError:
        await asyncio.shield(_recorded(call, means))
        raise
    await asyncio.shield(_recorded(call, means))
    if answer is None:
        fault = call.outcome.error if call.outcome else None
        return None, fault.detail if fault else why, call.outcome
    text = answer.deltas[0].text if answer.deltas else ""
    label = parse(text, asked.labels)
    return label, None if label else f"unusable label of {len(text)} characters", call.outcome


async def _recorded(call: Call, means: Means) -> None:
    if call.outcome is not None:
        means.health.ended(call.outcome)
        await means.recorder.attempted(call.outcome)


def _constrained(asked: Asked) -> dict[str, Any]:
    """What holds the answer to one label, where the provider can do that."""
    if not asked.deployment.provider.json_schema:
        return {}
    return {"response_format": response_format(asked.labels)}


def _most(call: Call, asked: Asked) -> Bound:
    """The most that asking for a label can use."""
    price, tokens = call.deployment.price, answer_tokens(asked.labels)
    cost = price.most_cost(call.input_tokens, tokens) if price else None
    return Bound(cost, call.input_tokens + tokens)


def _call(request: Request, asked: Asked, means: Means) -> Call:
    deployment = asked.deployment
    question = Request(
        id=f"{request.id}.label",
        model=deployment.model,
        body={
            "messages": build(request.messages, asked.labels),
            "max_tokens": answer_tokens(asked.labels),
            "temperature": 0,
            **_constrained(asked),
        },
    )
    route = Route(
        deployment=deployment.id,
        model=deployment.model,
        provider=deployment.provider.name,
        role="classifier",
        ordinal=0,
    )
    return Call(
        decision_id=decision_id(request, means.rules),
        request=question,
        attempt=Attempt(route=route, ordinal=0),
        deployment=deployment,
        answers=deployment,
        backend=means.backends.of(deployment),
        timeouts=means.timeouts,
        catalog=means.rules.catalog,
        input_tokens=input_tokens(extract(question, {deployment.card.tokenizer}), deployment),
    )

"""Asks a model for a label, within a deadline; whatever goes wrong is a named failure.

Does not know what the label means.
"""

import asyncio
from typing import Any

from turnout.catalog import Deployment
from turnout.classifiers.llm import build, parse, response_format
from turnout.core import Outcome, Request, Route
from turnout.decision import Attempt, decision_id, input_tokens
from turnout.features import extract
from turnout.runtime.call import Call
from turnout.runtime.walk import Means

MAX_LABEL_TOKENS = 16


async def ask_label(
    request: Request, asked: Deployment, labels: tuple[str, ...], deadline_s: float, means: Means
) -> tuple[str | None, str | None, Outcome | None]:
    """The label, or None and why there is none; and what the call cost."""
    call = _call(request, asked, labels, means)
    await means.recorder.held(request, call.decision_id, _ceiling(call))
    answer, why = None, "no answer"
    try:
        async with asyncio.timeout(deadline_s):
            answer = await call.whole()
    except TimeoutError:
        why = f"no label within {deadline_s:g} s"
    except asyncio.CancelledError:
        await asyncio.shield(_recorded(call, means))
        raise
    await asyncio.shield(_recorded(call, means))
    if answer is None:
        fault = call.outcome.error if call.outcome else None
        return None, fault.detail if fault else why, call.outcome
    text = answer.deltas[0].text if answer.deltas else ""
    label = parse(text, labels)
    return label, None if label else f"unusable label of {len(text)} characters", call.outcome


async def _recorded(call: Call, means: Means) -> None:
    if call.outcome is not None:
        await means.recorder.attempted(call.outcome)


def _constrained(asked: Deployment, labels: tuple[str, ...]) -> dict[str, Any]:
    """What holds the answer to one label, where the provider can do that."""
    return {"response_format": response_format(labels)} if asked.provider.json_schema else {}


def _ceiling(call: Call) -> int | None:
    """The most that asking for a label can cost."""
    price = call.deployment.price
    return price.expected_cost(call.input_tokens, MAX_LABEL_TOKENS) if price else None


def _call(request: Request, asked: Deployment, labels: tuple[str, ...], means: Means) -> Call:
    question = Request(
        id=f"{request.id}.label",
        model=asked.model,
        body={
            "messages": build(request.messages, labels),
            "max_tokens": MAX_LABEL_TOKENS,
            "temperature": 0,
            **_constrained(asked, labels),
        },
    )
    route = Route(
        deployment=asked.id,
        model=asked.model,
        provider=asked.provider.name,
        role="classifier",
        ordinal=0,
    )
    return Call(
        decision_id=decision_id(request, means.rules),
        request=question,
        attempt=Attempt(route=route, ordinal=0),
        deployment=asked,
        answers=asked,
        backend=means.backends.of(asked),
        timeouts=means.timeouts,
        catalog=means.rules.catalog,
        input_tokens=input_tokens(extract(question, {asked.card.tokenizer}), asked),
    )

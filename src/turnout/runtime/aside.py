"""A call beside the answer: it asks a model about a request, for a label or a verdict on a draft.

Invariant: it ends within its deadline, and is accounted for however it ends.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turnout.catalog import Deployment
from turnout.core import Outcome, Request, Role, Route
from turnout.decision import Attempt, input_tokens
from turnout.features import extract
from turnout.runtime.call import Call
from turnout.runtime.means import Means


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The text that came back, or None and ``why``; ``call`` is the call's outcome."""

    text: str | None
    why: str
    call: Outcome | None


def aside(
    body: Mapping[str, Any],
    asked: Deployment,
    means: Means,
    *,
    ident: str,
    decision_id: str,
    role: Role,
) -> Call:
    """The call that puts ``body`` to ``asked``."""
    question = Request(id=ident, model=asked.model, body=body)
    route = Route(
        deployment=asked.id,
        model=asked.model,
        provider=asked.provider.name,
        role=role,
        ordinal=0,
    )
    return Call(
        decision_id=decision_id,
        request=question,
        attempt=Attempt(route=route, ordinal=0),
        deployment=asked,
        answers=asked,
        backend=means.backends.of(asked),
        timeouts=means.timeouts,
        catalog=means.rules.catalog,
        input_tokens=input_tokens(extract(question, {asked.card.tokenizer}), asked),
    )


async def said(call: Call, deadline_s: float, means: Means, *, what: str = "answer") -> Said:
    """What the model says within ``deadline_s`` seconds; the call's outcome is recorded.

    ``what`` was wanted is named in the reason when it does not come.
    """
    means.health.began(call.deployment.id)
    answer, why = None, f"no {what} within {deadline_s:g} s"
    try:
        async with asyncio.timeout(deadline_s):
            answer = await call.whole()
            why = ""
    except TimeoutError:
        pass
    finally:
        if call.outcome is not None:
            await asyncio.shield(means.ended(call.outcome))
    if answer is None:
        fault = call.outcome.error if call.outcome else None
        return Said(
            text=None, why=why or (fault.detail if fault else f"no {what}"), call=call.outcome
        )
    text = "".join(delta.text for delta in answer.deltas if delta.choice == 0)
    return Said(text=text, why="", call=call.outcome)

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
class SideAnswer:
    """The text that came back, or None and ``failure``; ``call`` is the call's outcome."""

    text: str | None
    failure: str
    call: Outcome | None


def side_call(
    body: Mapping[str, Any],
    deployment: Deployment,
    means: Means,
    *,
    ident: str,
    decision_id: str,
    role: Role,
) -> Call:
    """The call that puts ``body`` to ``deployment``."""
    request = Request(id=ident, model=deployment.model, body=body)
    route = Route(
        deployment=deployment.id,
        model=deployment.model,
        provider=deployment.provider.name,
        role=role,
        ordinal=0,
    )
    return Call(
        decision_id=decision_id,
        request=request,
        attempt=Attempt(route=route, ordinal=0),
        deployment=deployment,
        target=deployment,
        backend=means.backends.of(deployment),
        timeouts=means.timeouts,
        cohort=means.cohort,
        catalog=means.rules.catalog,
        input_tokens=input_tokens(extract(request, {deployment.card.tokenizer}), deployment),
    )


async def answer_within(
    call: Call, deadline_s: float, means: Means, *, what: str = "answer"
) -> SideAnswer:
    """What the model says within ``deadline_s`` seconds; the call's outcome is recorded.

    ``what`` was wanted is named in the reason when it does not come.
    """
    deployment, role = call.deployment.id, call.attempt.route.role
    means.health.call_began(deployment)
    answer, failure = None, ""
    try:
        answer = await means.lateness.in_time(role, deployment, deadline_s, call.whole())
    except TimeoutError:
        failure = f"no {what} within {deadline_s:g} s"
    finally:
        if call.outcome is not None:
            await asyncio.shield(means.call_ended(call.outcome))
    if answer is None:
        fault = call.outcome.error if call.outcome else None
        return SideAnswer(
            text=None,
            failure=failure or (fault.detail if fault else f"no {what}"),
            call=call.outcome,
        )
    text = "".join(delta.text for delta in answer.deltas if delta.choice == 0)
    return SideAnswer(text=text, failure="", call=call.outcome)

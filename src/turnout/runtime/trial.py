"""Tries a configured model with a few small calls, made as every other request is.

Invariant: a call that fails is a finding, not an exception. This module does not know how findings
are shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from turnout.catalog import Deployment, is_other_model
from turnout.core import AllRoutesFailed, Outcome, RouterError
from turnout.runtime.receipt import total
from turnout.runtime.reply import Reply
from turnout.runtime.router import Router

OK = "ok"
# Enough for a model that thinks before it answers; others use few of these tokens.
_MOST_TOKENS = 512
_QUESTION = "Reply with the word ready and nothing else."
_TOOL_QUESTION = "What is the weather in Paris now? Use the tool."
_JSON_QUESTION = 'Reply with the JSON object {"ready": true} and nothing else.'
_TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city now.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What calls to one model found: ``ok`` or why not, for each thing that was tried.

    ``cost_pico_usd`` is None where the price is unknown. ``remarks`` are what could surprise on a
    bill or when routing.
    """

    answer: str
    stream: str = "not tried"
    tools: str = "not tried"
    json: str = "not tried"
    first_token_ms: float | None = None
    answer_ms: float | None = None
    cost_pico_usd: int | None = 0
    remarks: tuple[str, ...] = ()

    @property
    def serves(self) -> bool:
        """Whether answers come, whole and streamed; not every model has tools and JSON."""
        return self.answer == OK and self.stream == OK


async def try_deployment(router: Router, deployment: Deployment) -> Trial:
    """What a deployment does with four small calls, or with one if that fails."""
    whole = await _whole_answer(router, deployment, _QUESTION)
    if isinstance(whole, str):
        return Trial(answer=whole, remarks=_remarks(deployment, ()))
    streamed = await _streamed_answer(router, deployment)
    tool_reply = await _whole_answer(router, deployment, _TOOL_QUESTION, tools=[_TOOL])
    json_reply = await _whole_answer(
        router, deployment, _JSON_QUESTION, response_format={"type": "json_object"}
    )
    outcomes = [o for reply in (whole, streamed, tool_reply, json_reply) for o in _outcomes(reply)]
    first = [o.ttft_ms for o in _outcomes(streamed)]
    return Trial(
        answer=OK,
        stream=streamed if isinstance(streamed, str) else OK,
        tools=tool_reply if isinstance(tool_reply, str) else _tool_result(tool_reply),
        json=json_reply if isinstance(json_reply, str) else _json_result(json_reply),
        first_token_ms=first[-1] if first else None,
        answer_ms=whole.outcomes[-1].latency_ms,
        cost_pico_usd=total([o.cost_pico_usd for o in outcomes]),
        remarks=_remarks(deployment, outcomes),
    )


async def _whole_answer(
    router: Router, deployment: Deployment, question: str, **more: Any
) -> Reply | str:
    try:
        reply = await router.achat(question, model=deployment.id, max_tokens=_MOST_TOKENS, **more)
    except RouterError as error:
        return _reason(error)
    return str(reply.decision.blocked) if reply.decision.blocked else reply


async def _streamed_answer(router: Router, deployment: Deployment) -> Reply | str:
    try:
        stream = await router.achat(
            _QUESTION, model=deployment.id, max_tokens=_MOST_TOKENS, stream=True
        )
        async for _ in stream:
            pass
    except RouterError as error:
        return _reason(error)
    return stream.reply


def _reason(error: RouterError) -> str:
    """The reason in one line, without the names of model and provider."""
    if isinstance(error, AllRoutesFailed) and error.outcomes[-1].error is not None:
        return error.outcomes[-1].error.detail
    return str(error)


def _outcomes(found: Reply | str) -> Sequence[Outcome]:
    return () if isinstance(found, str) else found.outcomes


def _tool_result(reply: Reply) -> str:
    calls = reply.body["choices"][0]["message"].get("tool_calls")
    return OK if calls else "answered without a call"


def _json_result(reply: Reply) -> str:
    try:
        orjson.loads(reply.text)
    except ValueError:
        return "answered without JSON"
    return OK


def _remarks(deployment: Deployment, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    served = {o.model for o in outcomes if o.model and is_other_model(deployment.model, o.model)}
    remarks = [f"serves {', '.join(sorted(served))}"] if served else []
    if any(o.usage.estimated for o in outcomes):
        remarks.append("counts no tokens: Turnout's own count is charged")
    if deployment.price is None:
        remarks.append("no price: its cost is unknown")
    elif deployment.price.assumed:
        remarks.append("its price is assumed")
    return tuple(remarks)

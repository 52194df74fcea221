"""Prompts in any form that the library takes, made into checked requests.

This module does not know models, or how a request is answered.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import inf
from numbers import Real
from typing import Any

from turnout.core import (
    CALL_KINDS,
    CallKind,
    Constraints,
    InvalidRequest,
    Message,
    Request,
    asked_models,
    check_body,
)
from turnout.runtime.ids import new_id

Prompt = str | Sequence[Message] | Mapping[str, Any] | Request


def request_of(
    prompt: Prompt,
    *,
    model: str | None = None,
    constraints: Constraints | None = None,
    kind: CallKind | None = None,
    **params: Any,
) -> Request:
    """The request for a text, a list of messages or a whole body.

    A Request is returned as it is, and takes nothing beside it. ``params`` are further fields of
    the body. ``model`` wins over the body's own; without either it is the first of the body's
    ``models``, else ``auto``. ``kind`` says what the call is for, if the body does not show it.
    Raises InvalidRequest.
    """
    if isinstance(prompt, Request):
        beside = {"model": model, "constraints": constraints, "kind": kind, **params}
        if given := [name for name, value in beside.items() if value is not None]:
            raise InvalidRequest(
                f"{', '.join(given)}: a Request has its own; set it there, or leave it out",
                field=given[0],
            )
        return prompt
    if kind not in (None, *CALL_KINDS):
        raise InvalidRequest(f"kind is {kind!r}; use one of {', '.join(CALL_KINDS)}", field="kind")
    if isinstance(prompt, str):
        body: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}]}
    elif isinstance(prompt, Mapping):
        body = dict(prompt)
    else:
        body = {"messages": _listed(prompt)}
    body.update(params)
    if isinstance(bias := body.get("logit_bias"), Mapping):
        body["logit_bias"] = {str(token): value for token, value in bias.items()}
    check_body(body)
    own, models = body.pop("model", None), body.pop("models", None)
    model, models = asked_models(model or own or None, models)
    return Request(
        id=new_id(),
        body=body,
        model=model,
        models=models,
        constraints=_limits(constraints),
        kind=kind,
    )


def _limits(constraints: Constraints | None) -> Constraints:
    """The constraints, once they are checked. Raises InvalidRequest."""
    if constraints is None:
        return Constraints()
    if not isinstance(constraints, Constraints):
        raise InvalidRequest(
            f"constraints is {constraints!r}; give turnout.Constraints(...)", field="constraints"
        )
    for name in ("allow", "deny"):
        if not isinstance(names := getattr(constraints, name), AbstractSet | None):
            raise InvalidRequest(f"{name} is {names!r}; give a set of models", field=name)
    for name, most in (("quality", 1.0), ("max_cost_pico_usd", inf), ("max_latency_ms", inf)):
        limit = getattr(constraints, name)
        if limit is not None and not (isinstance(limit, Real) and 0 <= float(limit) <= most):
            fix = "a share from 0 to 1" if most == 1 else "a number of at least 0"
            raise InvalidRequest(f"{name} is {limit!r}; give {fix}", field=name)
    return constraints


def _listed(messages: object) -> list[Any]:
    if not isinstance(messages, Sequence) or isinstance(messages, bytes | bytearray):
        kind = type(messages).__name__
        raise InvalidRequest(f"a prompt cannot be {kind}; give a text, messages or a whole body")
    return list(messages)

"""Prompts in the shapes that callers of the library have them, as checked requests.

This module does not know models or how a request is answered.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from turnout.core import (
    AUTO,
    CALL_KINDS,
    CallKind,
    Constraints,
    InvalidRequest,
    Message,
    Request,
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
    """A text, a list of messages or a whole body as a request; a Request is one already.

    ``params`` are further fields of the body; ``model`` wins over the body's own, and without
    either it is ``auto``. ``kind`` says what the call is for, where its body does not show it.
    Raises InvalidRequest.
    """
    if isinstance(prompt, Request):
        return prompt
    if kind not in (None, *CALL_KINDS):
        raise InvalidRequest(f"kind is {kind!r}; use one of {', '.join(CALL_KINDS)}", field="kind")
    if not isinstance(constraints, Constraints | None):
        raise InvalidRequest(
            f"constraints is {constraints!r}; give turnout.Constraints(...)", field="constraints"
        )
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
    asked = model or body.get("model") or AUTO
    body.pop("model", None)
    limits = constraints or Constraints()
    return Request(id=new_id(), body=body, model=asked, constraints=limits, kind=kind)


def _listed(messages: object) -> list[Any]:
    if not isinstance(messages, Sequence) or isinstance(messages, bytes | bytearray):
        kind = type(messages).__name__
        raise InvalidRequest(f"a prompt cannot be {kind}; give a text, messages or a whole body")
    return list(messages)

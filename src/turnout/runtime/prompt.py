"""Prompts in the shapes that callers of the library have them, as checked requests.

This module does not know models or how a request is answered.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from turnout.core import AUTO, Constraints, InvalidRequest, Message, Request, check_body
from turnout.runtime.ids import new_id

Prompt = str | Sequence[Message] | Mapping[str, Any] | Request


def request_of(
    prompt: Prompt,
    *,
    model: str | None = None,
    constraints: Constraints | None = None,
    **params: Any,
) -> Request:
    """A text, a list of messages or a whole body as a request; a Request is one already.

    ``params`` are further fields of the body; ``model`` wins over the body's own, and without
    either it is ``auto``. Raises InvalidRequest.
    """
    if isinstance(prompt, Request):
        return prompt
    if isinstance(prompt, str):
        body: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}]}
    elif isinstance(prompt, Mapping):
        body = dict(prompt)
    else:
        body = {"messages": _listed(prompt)}
    body.update(params)
    check_body(body)
    asked = model or body.get("model") or AUTO
    body.pop("model", None)
    return Request(id=new_id(), body=body, model=asked, constraints=constraints or Constraints())


def _listed(messages: object) -> list[Any]:
    if not isinstance(messages, Sequence) or isinstance(messages, bytes | bytearray):
        kind = type(messages).__name__
        raise InvalidRequest(f"a prompt cannot be {kind}; give a text, messages or a whole body")
    return list(messages)

"""What Messages and Responses share in reading a body.

Invariant: a value of the wrong type raises InvalidRequest.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from turnout.core import Body, InvalidRequest, asked_models, check_body, json_object
from turnout.gateway.dialects.chat import flag
from turnout.gateway.dialects.protocol import Inbound


def inbound(payload: object, chat_body: Callable[[Mapping[str, Any]], Body]) -> Inbound:
    """The request; ``chat_body`` translates it to chat's shape. Raises InvalidRequest.

    Without ``model`` it is auto.
    """
    native = json_object(payload)
    model, models = asked_models(native.get("model"), native.get("models"))
    if "models" in native:
        native = {name: value for name, value in native.items() if name != "models"}
    try:
        body = check_body(chat_body(native))
    except (AttributeError, LookupError, TypeError) as error:
        raise InvalidRequest(f"a value has the wrong type: {error}") from error
    return Inbound(
        body=body,
        native=native,
        model=model,
        models=models,
        stream=flag(native.get("stream"), "stream"),
    )


def mapping(value: object, where: str) -> Mapping[str, Any]:
    """The object at ``where``; empty if it is absent. Raises InvalidRequest."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{where} must be an object", field=where)
    return value


def objects(value: object, where: str) -> list[Mapping[str, Any]]:
    """The list of objects at ``where``; empty if it is absent. Raises InvalidRequest."""
    if not value:
        return []
    if not isinstance(value, list) or None in value:
        raise InvalidRequest(f"{where} must be a list of objects", field=where)
    return [mapping(one, where) for one in value]


def tool_call(ident: object, name: object, arguments: object) -> dict[str, Any]:
    """A call of a function, in chat's shape."""
    return {"id": ident, "type": "function", "function": {"name": name, "arguments": arguments}}


def results_after_calls(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with each tool result right after its call, where chat requires it."""
    results: dict[str, list[dict[str, Any]]] = {}
    for message in messages:
        if message["role"] == "tool":
            results.setdefault(message["tool_call_id"], []).append(message)
    found: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] != "tool":
            found.append(message)
            waiting = (results.get(call["id"]) for call in message.get("tool_calls", ()))
            found += [answers.pop(0) for answers in waiting if answers]
            continue
        left = results[message["tool_call_id"]]
        if left and left[0] is message:
            # No call before it has this id.
            found.append(left.pop(0))
    return found

"""What reading a body of Messages and of Responses has in common.

Invariant: a value of another type than its API gives it is a refusal that names the field.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from turnout.core import Body, InvalidRequest, check_body, json_object
from turnout.gateway.dialects.chat import asked_model, flag
from turnout.gateway.dialects.protocol import Inbound


def inbound(payload: object, chat_body: Callable[[Mapping[str, Any]], Body]) -> Inbound:
    """The request, whose ``chat_body`` is its body in chat shape. Raises InvalidRequest.

    ``model`` may be left out, which means auto.
    """
    native = json_object(payload)
    try:
        body = check_body(chat_body(native))
    except (AttributeError, LookupError, TypeError) as error:
        raise InvalidRequest(f"a value has another type than this API gives it: {error}") from error
    return Inbound(
        body=body,
        native=native,
        model=asked_model(native.get("model")),
        stream=flag(native.get("stream"), "stream"),
    )


def mapping(value: object, where: str) -> Mapping[str, Any]:
    """The object at ``where``, empty where there is none. Raises InvalidRequest."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{where} must be an object", field=where)
    return value


def objects(value: object, where: str) -> list[Mapping[str, Any]]:
    """The list of objects at ``where``, empty where there is none. Raises InvalidRequest."""
    if not value:
        return []
    if not isinstance(value, list) or None in value:
        raise InvalidRequest(f"{where} must be a list of objects", field=where)
    return [mapping(one, where) for one in value]


def beside_their_calls(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results right after the calls they answer, as chat asks for, and these APIs do not."""
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
            # Nothing before it asked for this.
            found.append(left.pop(0))
    return found

"""Calls and answers in chat's messages, as the families that translate them read them.

This module does not know bodies.
"""

from collections.abc import Mapping
from typing import Any

from turnout.core import InvalidRequest, Message
from turnout.providers.tool_ids import portable

# What an answer of chat may be otherwise than text and calls of tools.
_OTHERWISE = ("function_call", "audio")


def check_answer(message: Message, api: str) -> None:
    """Raises InvalidRequest for an answer that is something which ``api`` has no word for."""
    for name in _OTHERWISE:
        if message.get(name):
            raise InvalidRequest(f"{name} is not offered by {api}", field="messages")


def read_call(call: Mapping[str, Any], api: str) -> tuple[str, Mapping[str, Any]]:
    """A call's id, in the form that all take, and its function.

    Raises InvalidRequest for a call of another type, which ``api`` does not take.
    """
    function = call.get("function")
    if not isinstance(function, Mapping):
        raise InvalidRequest(
            f"a call of type {call.get('type')!r} is not taken by {api}", field="messages"
        )
    return portable(str(call.get("id") or "")), function

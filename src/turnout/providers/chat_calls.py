"""Reads the parts of a chat body for the codecs that translate them, and raises for others.

This module does not know what the parts are translated into.
"""

from collections.abc import Mapping
from typing import Any

from turnout.core import InvalidRequest, Message
from turnout.providers.tool_ids import portable

# Fields of an answer in chat that only chat has.
_ONLY_CHAT = ("function_call", "audio")


def check_fields(
    chat: Mapping[str, Any], missing: Mapping[str, tuple[object, ...]], api: str
) -> None:
    """Raises InvalidRequest for a field that ``api`` does not have.

    ``missing`` are these fields, each with the values that ask for nothing.
    """
    for name, idle in missing.items():
        if chat.get(name) is not None and chat[name] not in idle:
            raise not_offered(name, api, name)


def check_answer(message: Message, api: str) -> None:
    """Raises InvalidRequest for an earlier answer that ``api`` cannot express."""
    for name in _ONLY_CHAT:
        if message.get(name):
            raise not_offered(name, api, "messages")


def read_call(call: Mapping[str, Any], api: str) -> tuple[str, Mapping[str, Any]]:
    """A call's portable id, and its function. Raises InvalidRequest for another type of call."""
    function = call.get("function")
    if not isinstance(function, Mapping):
        raise not_offered(f"a call of type {call.get('type')!r}", api, "messages")
    return portable(str(call.get("id") or "")), function


def function_in(tool: Mapping[str, Any], api: str) -> Mapping[str, Any] | None:
    """A tool's function; None for a tool that is not chat's.

    Raises InvalidRequest for a custom tool of chat, which ``api`` does not have.
    """
    if tool.get("type") == "custom" and "custom" in tool:
        raise not_offered("a custom tool of chat", api, "tools")
    function = tool.get("function")
    return function if isinstance(function, Mapping) else None


def not_offered(what: str, api: str, field: str) -> InvalidRequest:
    """The refusal of something in ``field`` that ``api`` does not have."""
    return InvalidRequest(f"{what} is not offered by {api}", field=field)

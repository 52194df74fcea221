"""Detects which API a body is written for, on paths that all APIs share.

Invariant: pure; a body that fits several APIs is read as chat completions.
"""

from collections.abc import Mapping

from turnout.gateway.dialects.chat import Chat
from turnout.gateway.dialects.messages import Messages
from turnout.gateway.dialects.protocol import ApiDialect
from turnout.gateway.dialects.responses import Responses

ANTHROPIC = b"anthropic-version"  # a header that every client of Messages sends
_CHAT, _MESSAGES, _RESPONSES = Chat(), Messages(), Responses()


def dialect_of(payload: object, headers: Mapping[bytes, bytes]) -> ApiDialect:
    """Responses by ``input``; Messages by their header, ``system`` or tools' ``input_schema``."""
    if not isinstance(payload, Mapping):
        return _CHAT
    if "input" in payload and "messages" not in payload:
        return _RESPONSES
    tools = payload.get("tools")
    has_schema = isinstance(tools, list) and any(
        isinstance(t, Mapping) and "input_schema" in t for t in tools
    )
    return _MESSAGES if ANTHROPIC in headers or "system" in payload or has_schema else _CHAT

"""What a predictor reads of a request: its question and its tool definitions.

Invariant: of a row only ``query`` (else ``prompt``, else ``messages``) and ``functions`` are read,
never an id, a task name or a fold. This module does not know models.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from turnout.core import Request, strings, text_of


class PromptText(NamedTuple):
    """The question, and the tool definitions as text (empty without tools)."""

    text: str
    functions: str = ""


def row_text(row: Mapping[str, Any]) -> PromptText:
    """What a predictor reads of a row of a table or a line of a file."""
    text = row.get("query") or row.get("prompt")
    # Data sets of chats often have the messages under "prompt".
    if not text or _is_conversation(text):
        text = _user_text(text or row.get("messages"))
    return PromptText(_as_text(text), _as_text(row.get("functions") or ""))


def prompt_text(request: Request) -> PromptText:
    """What a predictor reads of a live request: its messages and its tools."""
    tools = request.tools or request.body.get("functions")
    return row_text({"messages": request.messages, "functions": tools})


def _is_conversation(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(
        isinstance(item, Mapping) and "role" in item for item in value
    )


def _user_text(messages: Any) -> str:
    """The user's last text, else all text of the conversation; empty if it is none."""
    listed = messages if isinstance(messages, list | tuple) else ()
    messages_only = [message for message in listed if isinstance(message, Mapping)]
    texts = [
        text
        for m in messages_only
        if m.get("role") == "user" and (text := _message_text(m)).strip()
    ]
    return texts[-1] if texts else "\n".join(map(_message_text, messages_only))


def _message_text(message: Mapping[str, Any]) -> str:
    """The message's text; empty if its content does not have a chat message's form."""
    content = message.get("content")
    if isinstance(content, list | tuple):
        content = [part for part in content if isinstance(part, Mapping)]
    return text_of({"content": content}) if isinstance(content, str | list) else ""


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return "\n".join(strings(value))

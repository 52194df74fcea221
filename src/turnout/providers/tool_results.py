"""Makes results of tools text, the only content that OpenAI's chat takes in them.

Images and files of the results go into a user's message right after them.
Source: platform.openai.com/docs/api-reference/chat/create. This module does not know providers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Item = Mapping[str, Any]


def as_texts(messages: Sequence[Item]) -> list[Item]:
    """The messages, with only text in tool results."""
    found: list[Item] = []
    moved: list[Any] = []
    for message in messages:
        if message.get("role") != "tool":
            found += _user_message(moved)
            moved = []
            found.append(message)
            continue
        content = message.get("content")
        parts = content if isinstance(content, list | tuple) else ()
        others = [part for part in parts if part.get("type") != "text"]
        texts = (part["text"] for part in parts if part.get("type") == "text")
        found.append({**message, "content": "\n".join(texts)} if others else message)
        moved += others
    return [*found, *_user_message(moved)]


def _user_message(parts: Sequence[Any]) -> list[Item]:
    return [{"role": "user", "content": list(parts)}] if parts else []

"""Results of tools as OpenAI's chat takes them: texts.

Pictures and files of a result are shown by the user right after the results, as no other role may.
Source: platform.openai.com/docs/api-reference/chat/create. This module does not know providers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Item = Mapping[str, Any]


def as_texts(messages: Sequence[Item]) -> list[Item]:
    """The messages, in which results hold text only and nothing is lost."""
    found: list[Item] = []
    shown: list[Any] = []
    for message in messages:
        if message.get("role") != "tool":
            found += _by_user(shown)
            shown = []
            found.append(message)
            continue
        content = message.get("content")
        parts = content if isinstance(content, list | tuple) else ()
        others = [part for part in parts if part.get("type") != "text"]
        texts = (part["text"] for part in parts if part.get("type") == "text")
        found.append({**message, "content": "\n".join(texts)} if others else message)
        shown += others
    return [*found, *_by_user(shown)]


def _by_user(parts: Sequence[Any]) -> list[Item]:
    return [{"role": "user", "content": list(parts)}] if parts else []

"""Instructions where a model takes them, in requests that were not written for its provider.

Newer clients give instructions in the midst of a conversation. OpenAI's models take them there and
so do Claudes from 4.8 on, but for Sonnet 5; others refuse the role, and the templates of many open
models take one system message only, the first. There the first ones are joined, and what comes
later is told by the user in its place, so that what a provider has cached up to there stays as it
is.
Claude Code also begins its instructions with a line for Anthropic's books, another one with each
request, which would leave other providers' caches nothing to find.
Sources: platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages.
This module does not know providers.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from turnout.catalog.claudes import version
from turnout.core.request import INSTRUCTING, parts_of

_ANYWHERE = (4, 8)  # the first Claude that takes them anywhere
_NOT_THERE = (5, 0)  # a Sonnet of this version does not
_BOOKED = re.compile(r"x-anthropic-billing-header:[^\n]{1,300}\s*", re.ASCII)

Item = Mapping[str, Any]


def takes_anywhere(model: str) -> bool:
    """Whether this Claude takes instructions in the midst of a conversation."""
    found = version(model)
    return found >= _ANYWHERE and not (found == _NOT_THERE and "sonnet" in model.lower())


def in_front(messages: Sequence[Item]) -> list[Item]:
    """Chat messages of which only the first may be the system's."""
    first = next(
        (i for i, m in enumerate(messages) if m.get("role") not in INSTRUCTING), len(messages)
    )
    found: list[Item] = []
    if first:
        content = messages[0].get("content")
        for message in messages[1:first]:
            content = _joined(content, message.get("content"))
        found.append({**messages[0], "role": "system", "content": content})
    for message in messages[first:]:
        if message.get("role") not in INSTRUCTING:
            found.append(message)
        elif found and found[-1].get("role") == "user":
            found[-1] = {
                **found[-1],
                "content": _joined(found[-1].get("content"), _told(message.get("content"))),
            }
        else:
            found.append({"role": "user", "content": _told(message.get("content"))})
    return found


def by_the_user(messages: Sequence[Item]) -> list[Item]:
    """Messages as Anthropic's API has them, none of which is the system's."""
    return [
        {**message, "role": "user", "content": _told(message.get("content"))}
        if message.get("role") in INSTRUCTING
        else message
        for message in messages
    ]


def placed(turns: Sequence[dict[str, Any]], *, anywhere: bool) -> Iterator[dict[str, Any]]:
    """Turns as Anthropic's API has them, no two in a row of one role.

    Where the model takes instructions ``anywhere``, they stay where the API allows it: after the
    user's turn and before an answer, or at the end. All others are told by the user.
    """
    for place, turn in enumerate(turns):
        before = turns[place - 1]["role"] if place else None
        after = turns[place + 1]["role"] if place + 1 < len(turns) else "assistant"
        stays = anywhere and (before, after) == ("user", "assistant")
        if turn["role"] != "system" or stays:
            yield turn
        else:
            yield {**turn, "role": "user", "content": _told(turn["content"])}


def unbooked(system: object) -> Any:
    """Instructions without the line for Anthropic's books."""
    if isinstance(system, str):
        return _BOOKED.sub("", system, count=1) if _BOOKED.match(system) else system
    if isinstance(system, list | tuple) and system and _is_booked(system[0]):
        return list(system[1:])
    return system


def opened(messages: Sequence[Item]) -> Sequence[Item]:
    """Chat messages without that line in the first, which goes where it says nothing else."""
    first, *rest = messages
    content = unbooked(first.get("content"))
    return [{**first, "content": content}, *rest] if content or not rest else rest


def _is_booked(part: object) -> bool:
    text = part.get("text") if isinstance(part, Mapping) else None
    return isinstance(text, str) and _BOOKED.fullmatch(text) is not None


def _told(content: object) -> Any:
    """What the system says, as the user tells it."""
    if isinstance(content, str):
        return f"<system-reminder>\n{content}\n</system-reminder>"
    parts = list(content) if isinstance(content, list | tuple) else []
    return [
        {**part, "text": _told(part["text"])} if isinstance(part.get("text"), str) else part
        for part in parts
    ]


def _joined(one: object, other: object) -> Any:
    if isinstance(one, str) and isinstance(other, str):
        return f"{one}\n\n{other}"
    return [*parts_of(one), *parts_of(other)]

"""Moves instructions to where a model takes them, in requests written for another provider.

Newer clients put instructions in the middle of a conversation. OpenAI's models take them there, and
so do Claudes from 4.8 on except Sonnet 5. Other models refuse them, and the templates of many open
models take only one system message, at the beginning. For those the first instructions are joined,
and later ones become the user's, at the same place, so that the provider's cache still matches.
Claude Code also begins its instructions with a line for Anthropic's billing. It differs in each
request, so no cache of another provider would match.
Sources: platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages.
This module does not know providers.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from turnout.catalog.claudes import version
from turnout.core.request import INSTRUCTION_ROLES, parts_of

_ANYWHERE = (4, 8)  # the first Claude that takes them anywhere
_NOT_THERE = (5, 0)  # a Sonnet of this version does not
_BILLING = re.compile(r"x-anthropic-billing-header:[^\n]{1,300}\s*", re.ASCII)

Item = Mapping[str, Any]


def takes_anywhere(model: str) -> bool:
    """Whether this Claude takes instructions in the middle of a conversation."""
    found = version(model)
    return found >= _ANYWHERE and not (found == _NOT_THERE and "sonnet" in model.lower())


def one_system_message(messages: Sequence[Item]) -> list[Item]:
    """Chat messages with at most one system message, which is the first."""
    first = next(
        (i for i, m in enumerate(messages) if m.get("role") not in INSTRUCTION_ROLES), len(messages)
    )
    found: list[Item] = []
    if first:
        content = messages[0].get("content")
        for message in messages[1:first]:
            content = _joined(content, message.get("content"))
        found.append({**messages[0], "role": "system", "content": content})
    for message in messages[first:]:
        if message.get("role") not in INSTRUCTION_ROLES:
            found.append(message)
        elif found and found[-1].get("role") == "user":
            found[-1] = {
                **found[-1],
                "content": _joined(found[-1].get("content"), _reminder(message.get("content"))),
            }
        else:
            found.append(_as_user(message))
    return found


def system_as_user(messages: Sequence[Item]) -> list[Item]:
    """Messages in Anthropic's form, with the user's role for those of the system.

    A message without content changes settings, which only the system's may do.
    """
    return [
        _as_user(m) if m.get("role") in INSTRUCTION_ROLES and "content" in m else m
        for m in messages
    ]


def placed(turns: Sequence[dict[str, Any]], *, anywhere: bool) -> Iterator[dict[str, Any]]:
    """Turns in Anthropic's form, which must alternate between roles.

    If the model takes instructions ``anywhere``, they stay where the API allows them: after the
    user's turn and before an answer, or at the end. All others become the user's.
    """
    for place, turn in enumerate(turns):
        before = turns[place - 1]["role"] if place else None
        after = turns[place + 1]["role"] if place + 1 < len(turns) else "assistant"
        stays = anywhere and (before, after) == ("user", "assistant")
        yield turn if turn["role"] != "system" or stays else _as_user(turn)


def without_billing_line(system: object) -> Any:
    """Instructions without the line for Anthropic's billing."""
    if isinstance(system, str):
        return _BILLING.sub("", system, count=1) if _BILLING.match(system) else system
    if isinstance(system, list | tuple) and system and _is_billing(system[0]):
        return list(system[1:])
    return system


def without_billing_message(messages: Sequence[Item]) -> Sequence[Item]:
    """Chat messages without that line in the first, or without the first if it holds only that."""
    first, *rest = messages
    content = without_billing_line(first.get("content"))
    return [{**first, "content": content}, *rest] if content or not rest else rest


def _is_billing(part: object) -> bool:
    text = part.get("text") if isinstance(part, Mapping) else None
    return isinstance(text, str) and _BILLING.fullmatch(text) is not None


def _as_user(message: Item) -> dict[str, Any]:
    return {**message, "role": "user", "content": _reminder(message.get("content"))}


def _reminder(content: object) -> Any:
    """Instructions as a reminder in the user's message."""
    if isinstance(content, str):
        return f"<system-reminder>\n{content}\n</system-reminder>"
    parts = list(content) if isinstance(content, list | tuple) else []
    return [
        {**part, "text": _reminder(part["text"])} if isinstance(part.get("text"), str) else part
        for part in parts
    ]


def _joined(one: object, other: object) -> Any:
    if isinstance(one, str) and isinstance(other, str):
        return f"{one}\n\n{other}"
    return [*parts_of(one), *parts_of(other)]

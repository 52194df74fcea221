"""Thoughts of models behind OpenAI's Responses: how they are asked for, marked and given back.

Nothing is stored at the provider, so a thought comes back in what it was encrypted to, or not at
all; its id leads nowhere. Models that do not reason refuse to encrypt, so it is asked for where
the caller asks for an effort, or the model's name says that it always reasons.
Invariant: only the model that had a thought gets it back.
Sources: platform.openai.com/docs/guides/reasoning ("Encrypted reasoning items").
This module does not know bodies or events.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from turnout.providers.fields import Malformed
from turnout.providers.signatures import apart, told, unmarked

ENCRYPTED = "reasoning.encrypted_content"
BETWEEN = "\n\n"
_REASONS = re.compile(r"(?:^|/)(?:o\d|gpt-(?:[5-9]|\d\d)(?!.*chat)|codex|computer-use)", re.ASCII)

Item = Mapping[str, Any]


@lru_cache(maxsize=256)
def always_reasons(model: str) -> bool:
    """Whether the model's name is of those that reason unasked."""
    return _REASONS.search(model.lower()) is not None


def thought_of(item: Item) -> str:
    """What a reasoning item says: its summary, else what an open model thought itself.

    Raises Malformed.
    """
    for name in ("summary", "content"):
        parts = item.get(name) or ()
        if not isinstance(parts, list | tuple) or not all(isinstance(p, Mapping) for p in parts):
            raise Malformed(f"a reasoning item's {name} is no list of parts")
        if parts:
            return BETWEEN.join(str(part.get("text") or "") for part in parts)
    return ""


def marked_item(item: Item, mark: str) -> dict[str, Any]:
    """The reasoning item as callers see it."""
    secret = item.get("encrypted_content")
    if not isinstance(secret, str) or not secret:
        return dict(item)
    return {**item, "encrypted_content": told(secret, mark, len(thought_of(item)))}


def signature_of(item: Item, mark: str, length: int, at: int) -> str:
    """What proves a thought of ``length`` characters; empty where there is nothing to prove.

    ``at`` is how many characters of the answer's text came before it.
    """
    secret = item.get("encrypted_content")
    secret = secret if isinstance(secret, str) else ""
    return told(secret, mark, length, at) if secret or length else ""


def own_item(item: Item, mark: str, *, trust: bool) -> dict[str, Any] | None:
    """The item for the model with this mark; None where it is another's, or cannot be read."""
    secret = unmarked(item.get("encrypted_content"), mark, trust=trust)
    if not secret:
        return None
    return {**{k: v for k, v in item.items() if k != "id"}, "encrypted_content": secret}


def own_items(thoughts: str, signature: object, mark: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The items of thoughts that a chat message brings back, and what of its text came before."""
    for thought in apart(thoughts, signature, mark):
        if thought.signature:
            summary = [{"type": "summary_text", "text": thought.text}] if thought.text else []
            item = {"type": "reasoning", "summary": summary, "encrypted_content": thought.signature}
            yield thought.at, item

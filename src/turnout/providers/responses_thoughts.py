"""Thoughts of models behind OpenAI's Responses: how to ask for them, mark them and give them back.

Nothing is stored at the provider, so a thought goes back in its encrypted form; its id is of no use
there. Models that do not reason refuse to encrypt. So thoughts are asked for only if the caller
asks for an effort, or the model's name says that it always reasons.
Invariant: only the model that had a thought gets it back.
Sources: platform.openai.com/docs/guides/reasoning ("Encrypted reasoning items").
This module does not know bodies or events.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from turnout.providers.fields import Malformed
from turnout.providers.signatures import marked, split_thoughts, unmarked

ENCRYPTED = "reasoning.encrypted_content"
BETWEEN = "\n\n"
_REASONS = re.compile(r"(?:^|/)(?:o\d|gpt-(?:[5-9]|\d\d)(?!.*chat)|codex|computer-use)", re.ASCII)

Item = Mapping[str, Any]


@lru_cache(maxsize=256)
def always_reasons(model: str) -> bool:
    """Whether the model, by its name, always reasons."""
    return _REASONS.search(model.lower()) is not None


def thought_of(item: Item) -> str:
    """The text of a reasoning item: its summary, else its content. Raises Malformed."""
    for name in ("summary", "content"):
        parts = item.get(name) or ()
        if not isinstance(parts, list | tuple) or not all(isinstance(p, Mapping) for p in parts):
            raise Malformed(f"a reasoning item's {name} is not a list of parts")
        if parts:
            return BETWEEN.join(str(part.get("text") or "") for part in parts)
    return ""


def marked_item(item: Item, mark: str) -> Item:
    """The output item; if it is a thought, with its encrypted content marked."""
    secret = item.get("encrypted_content")
    if item.get("type") != "reasoning" or not isinstance(secret, str) or not secret:
        return item
    return {**item, "encrypted_content": marked(secret, mark, len(thought_of(item)))}


def signature_of(item: Item, mark: str, length: int, at: int) -> str:
    """The marked signature of a thought of ``length`` characters; empty for an empty thought.

    ``at`` is the number of characters of the answer's text before it.
    """
    secret = item.get("encrypted_content")
    secret = secret if isinstance(secret, str) else ""
    return marked(secret, mark, length, at) if secret or length else ""


def own_item(item: Item, mark: str, *, trust: bool) -> dict[str, Any] | None:
    """The thought for the model with this mark; None if it is another model's or unreadable."""
    secret = unmarked(item.get("encrypted_content"), mark, trust=trust)
    if not secret:
        return None
    return {**{k: v for k, v in item.items() if k != "id"}, "encrypted_content": secret}


def own_items(thoughts: str, signature: object, mark: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The reasoning items for the thoughts of a chat message, each after its place in the text."""
    for thought in split_thoughts(thoughts, signature, mark):
        if thought.signature:
            summary = [{"type": "summary_text", "text": thought.text}] if thought.text else []
            item = {"type": "reasoning", "summary": summary, "encrypted_content": thought.signature}
            yield thought.at, item

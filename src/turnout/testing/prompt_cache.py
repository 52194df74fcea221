"""The prompt cache of an upstream that keeps prompts, as OpenAI's and Anthropic's do.

Invariant: tokens that count as read were sent to the same model before, word for word, from the
first tool on. Nothing is forgotten. This module does not know prices or time.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from turnout.testing.answers import prompt_tokens

# As at both: a shorter prompt is not kept, and OpenAI counts in steps.
_MIN_TOKENS, _STEP_TOKENS = 1024, 128


class PromptCache:
    """The beginnings of prompts that each model knows."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def read_and_written(self, body: Mapping[str, Any], *, marked: bool) -> tuple[int, int]:
        """Tokens of this prompt read and written; ``marked`` keeps it up to its last mark only.

        Without marks all of it is kept, and no tokens count as written.
        """
        prefixes = list(_prefixes(body))
        read = max((tokens for key, tokens, _ in prefixes if key in self._known), default=0)
        kept = [tokens for _, tokens, mark in prefixes if mark or not marked]
        kept_tokens = max(kept, default=0)
        if kept_tokens < _MIN_TOKENS:
            return 0, 0
        self._known |= {key for key, tokens, _ in prefixes if tokens <= kept_tokens}
        if marked:
            return min(read, kept_tokens), max(0, kept_tokens - read)
        return read - read % _STEP_TOKENS, 0


def _prefixes(body: Mapping[str, Any]) -> Iterator[tuple[bytes, int, bool]]:
    """Each beginning that ends with a message, its tokens, and whether it ends with a mark."""
    messages, tools = body.get("messages") or [], body.get("tools")
    head = [body["model"], body.get("reasoning_effort"), tools, body.get("system")]
    digest = hashlib.sha256(json.dumps(_without_marks(head)).encode())
    for number, message in enumerate(messages, 1):
        text = json.dumps(message)
        digest.update(json.dumps(_without_marks(message)).encode())
        tokens = prompt_tokens({**body, "messages": messages[:number]})
        yield digest.digest(), tokens, "cache_control" in text


def _without_marks(value: Any) -> Any:
    """The value without marks."""
    if isinstance(value, dict):
        return {
            name: _without_marks(inner) for name, inner in value.items() if name != "cache_control"
        }
    return [_without_marks(item) for item in value] if isinstance(value, list) else value

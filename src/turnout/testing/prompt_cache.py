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
_LEAST, _STEP = 1024, 128


class PromptCache:
    """The beginnings of prompts that each model knows."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def used(self, body: Mapping[str, Any], *, marked: bool) -> tuple[int, int]:
        """Tokens of this prompt read and written; ``marked`` keeps it up to its last mark only.

        Without marks all of it is kept, and no tokens count as written.
        """
        ends = list(_ends(body))
        read = max((tokens for key, tokens, _ in ends if key in self._known), default=0)
        kept = [tokens for _, tokens, mark in ends if mark or not marked]
        most = max(kept, default=0)
        if most < _LEAST:
            return 0, 0
        self._known |= {key for key, tokens, _ in ends if tokens <= most}
        if marked:
            return min(read, most), max(0, most - read)
        return read - read % _STEP, 0


def _ends(body: Mapping[str, Any]) -> Iterator[tuple[bytes, int, bool]]:
    """Each beginning that ends with a message, its tokens, and whether it ends with a mark."""
    messages, tools = body.get("messages") or [], body.get("tools")
    first = [body["model"], body.get("reasoning_effort"), tools, body.get("system")]
    said = hashlib.sha256(json.dumps(_bare(first)).encode())
    for number, message in enumerate(messages, 1):
        told = json.dumps(message)
        said.update(json.dumps(_bare(message)).encode())
        tokens = prompt_tokens({**body, "messages": messages[:number]})
        yield said.digest(), tokens, "cache_control" in told


def _bare(value: Any) -> Any:
    """The value without marks."""
    if isinstance(value, dict):
        return {name: _bare(inner) for name, inner in value.items() if name != "cache_control"}
    return [_bare(item) for item in value] if isinstance(value, list) else value

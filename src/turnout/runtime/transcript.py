"""Joins the chunks of a streamed answer into a whole one."""

from typing import Any

from turnout.core import Decision
from turnout.providers.whole_answer import add


class Transcript:
    """Notes each chunk as it passes; ``body`` is the chat completion so far."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._usage: Any = None

    def note(self, chunk: dict[str, Any]) -> dict[str, Any]:
        """Note a chunk, and return it."""
        self._head.update({k: chunk[k] for k in ("id", "created", "model") if k in chunk})
        self._usage = chunk.get("usage") or self._usage
        for piece in chunk.get("choices", ()):
            add(self._choices.setdefault(piece["index"], _empty(piece["index"])), piece)
        return chunk

    def body(self, decision: Decision) -> dict[str, Any]:
        """The chat completion that the noted chunks make up."""
        choices = [self._choices[index] for index in sorted(self._choices)] or [_empty(0)]
        whole = {"id": f"chatcmpl-{decision.id}", "object": "chat.completion", **self._head}
        whole["choices"] = choices
        if self._usage:
            whole["usage"] = self._usage
        return whole


def _empty(index: int) -> dict[str, Any]:
    return {
        "index": index,
        "message": {"role": "assistant", "content": None},
        "finish_reason": None,
    }

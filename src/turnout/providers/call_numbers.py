"""The numbers of tool calls in a stream whose provider gives none, or the same to several.

Invariant: pieces of two calls never count as one. A number that comes again with another id and a
name is another call; any other piece goes on with the last call of that number.
Source: ai.google.dev/gemini-api/docs/openai, whose streams bring each call whole and leave its
number out. This module does not know bytes.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import structs

from turnout.core import Chunk, Delta, ToolCallDelta

Place = tuple[int, int]  # a choice, and a call's number in it as the provider gave it


class CallNumbers:
    """Numbers the calls of one stream."""

    def __init__(self) -> None:
        self._last: dict[Place, tuple[int, str | None]] = {}
        self._used: dict[int, set[int]] = {}

    def of(self, chunk: Chunk) -> Chunk:
        """The chunk with each call's own number, in its ``raw`` as well."""
        deltas = tuple([self._numbered(delta) for delta in chunk.deltas])
        if deltas == chunk.deltas and all(map(_says, _calls(chunk))):
            return chunk
        raw = dict(chunk.raw)
        numbered = zip(raw["choices"], deltas, strict=True)
        raw["choices"] = [_with_numbers(choice, delta) for choice, delta in numbered]
        return structs.replace(chunk, deltas=deltas, raw=raw)

    def _numbered(self, delta: Delta) -> Delta:
        if not delta.tool_calls:
            return delta
        calls = tuple([self._call(delta.choice, call) for call in delta.tool_calls])
        return structs.replace(delta, tool_calls=calls)

    def _call(self, choice: int, call: ToolCallDelta) -> ToolCallDelta:
        place, used = (choice, call.index), self._used.setdefault(choice, set())
        number, ident = self._last.get(place, (call.index, call.id))
        fresh = place not in self._last or (call.name and call.id not in (None, ident))
        if fresh and number in used:
            number = max(used) + 1
        self._last[place] = (number, call.id if fresh else ident)
        used.add(number)
        return call if number == call.index else structs.replace(call, index=number)


def _calls(chunk: Chunk) -> Iterator[dict[str, Any]]:
    for choice in chunk.raw["choices"]:
        calls = (choice.get("delta") or {}).get("tool_calls")
        yield from calls if isinstance(calls, list) else ()


def _says(call: dict[str, Any]) -> bool:
    return call.get("index") is not None


def _with_numbers(choice: dict[str, Any], delta: Delta) -> dict[str, Any]:
    if not delta.tool_calls:
        return choice
    told = choice["delta"]
    pairs = zip(told["tool_calls"], delta.tool_calls, strict=True)
    calls = [{**call, "index": known.index} for call, known in pairs]
    return {**choice, "delta": {**told, "tool_calls": calls}}

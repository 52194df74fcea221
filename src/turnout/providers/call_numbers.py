"""Numbers tool calls in streams whose provider gives no numbers, or gives several calls the same.

Invariant: pieces of two calls never become one call. A number that comes again with another id and
a name starts a new call, and so does one that never has an id, if the arguments so far are whole;
every other piece belongs to the last call of that number.
Source: ai.google.dev/gemini-api/docs/openai: its streams send each call whole, without a number.
This module does not know bytes.
"""

from collections.abc import Iterator
from typing import Any

import orjson
from msgspec import structs

from turnout.core import Chunk, Delta, ToolCallDelta

Place = tuple[int, int]  # a choice, and a call's number in it as the provider gave it


class CallNumbers:
    """Numbers the calls of one stream."""

    def __init__(self) -> None:
        # Our number, the id, and the arguments so far of a call without one.
        self._last: dict[Place, tuple[int, str | None, str]] = {}
        self._used: dict[int, set[int]] = {}

    def of(self, chunk: Chunk) -> Chunk:
        """The chunk with a number of its own for each call, also in ``raw``."""
        deltas = tuple([self._numbered(delta) for delta in chunk.deltas])
        if deltas == chunk.deltas and all(map(_has_number, _calls(chunk))):
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
        number, ident, arguments = self._last.get(place, (call.index, None, ""))
        fresh = place not in self._last or (
            call.name and (call.id not in (None, ident) or (not ident and _is_whole(arguments)))
        )
        if fresh and number in used:
            number = max(used) + 1
        if fresh:
            ident, arguments = call.id, ""
        self._last[place] = (number, ident, "" if ident else arguments + call.arguments)
        used.add(number)
        return call if number == call.index else structs.replace(call, index=number)


def _is_whole(arguments: str) -> bool:
    try:
        orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return False
    return True


def _calls(chunk: Chunk) -> Iterator[dict[str, Any]]:
    for choice in chunk.raw["choices"]:
        calls = (choice.get("delta") or {}).get("tool_calls")
        yield from calls if isinstance(calls, list) else ()


def _has_number(call: dict[str, Any]) -> bool:
    return call.get("index") is not None


def _with_numbers(choice: dict[str, Any], delta: Delta) -> dict[str, Any]:
    if not delta.tool_calls:
        return choice
    raw = choice["delta"]
    pairs = zip(raw["tool_calls"], delta.tool_calls, strict=True)
    calls = [{**call, "index": numbered.index} for call, numbered in pairs]
    return {**choice, "delta": {**raw, "tool_calls": calls}}

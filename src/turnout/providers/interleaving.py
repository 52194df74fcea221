"""Puts an answer's thoughts back between the pieces of its text, where the model had them.

Models may think between pieces of text, and need their thoughts back in that order.
Invariant: only blanks next to a thought are lost. This module does not know APIs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Part = Mapping[str, Any]


def interleaved(parts: Iterable[Part], thoughts: Sequence[tuple[int, Part]]) -> Iterator[Part]:
    """The parts with each thought after its number of characters of their text."""
    waiting, length = list(thoughts), 0
    for part in parts:
        text = part.get("text")
        if not isinstance(text, str):
            yield part
            continue
        end = length + len(text)
        while waiting and waiting[0][0] < end:
            at, thought = waiting.pop(0)
            yield from _piece(part, text[: max(0, at - length)])
            text, length = text[max(0, at - length) :], max(at, length)
            yield thought
        if text.strip() or text == part["text"]:
            yield {**part, "text": text}
        length = end
    yield from (thought for _, thought in waiting)


def _piece(part: Part, text: str) -> Iterator[Part]:
    if text.strip():
        yield {"type": part["type"], "text": text}

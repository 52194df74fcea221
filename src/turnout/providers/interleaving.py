"""An answer's thoughts where they stood in its text, when a dialect has put them before it.

Models may think again between what they say, and want their thoughts back in that order.
Invariant: no text is lost but blanks beside a thought. This module does not know APIs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Part = Mapping[str, Any]


def interleaved(parts: Iterable[Part], thoughts: Sequence[tuple[int, Part]]) -> Iterator[Part]:
    """The parts with each thought behind as many characters of their texts as it is told with."""
    waiting, said = list(thoughts), 0
    for part in parts:
        text = part.get("text")
        if not isinstance(text, str):
            yield part
            continue
        end = said + len(text)
        while waiting and waiting[0][0] < end:
            at, thought = waiting.pop(0)
            yield from _piece(part, text[: max(0, at - said)])
            text, said = text[max(0, at - said) :], max(at, said)
            yield thought
        if text.strip() or text == part["text"]:
            yield {**part, "text": text}
        said = end
    yield from (thought for _, thought in waiting)


def _piece(part: Part, text: str) -> Iterator[Part]:
    if text.strip():
        yield {"type": part["type"], "text": text}

"""The internal event stream: one shape for answers of every provider, streamed or not.

Invariant: a chunk carries everything that came over the wire; ``raw`` keeps what has no field.
This module does not know wire formats.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from turnout.core.outcome import Usage


class ToolCallDelta(Struct, frozen=True, kw_only=True):
    """A piece of a tool call: ``index`` says which call, ``arguments`` is a fragment of JSON."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class Delta(Struct, frozen=True, kw_only=True):
    """A piece of one choice's message; ``refusal`` says why there is no (further) answer.

    ``hosted`` is the type of an item that a hosted tool made, or the name of a field that holds
    something other than text (``audio``); the chunk's ``raw`` has the item or field itself.
    ``sources`` are the pages that the choice's text cites: ``url``, ``title``, and the place in the
    text from ``start_index`` to ``end_index``.
    """

    choice: int = 0
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    signature: str = ""
    hosted: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    sources: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str | None = None

    @property
    def has_content(self) -> bool:
        """Whether this piece carries anything a reader would see."""
        visible = self.text or self.reasoning or self.tool_calls or self.refusal
        return bool(visible or self.hosted)


class Chunk(Struct, frozen=True, kw_only=True):
    """One event of an answer; a whole answer is a single chunk with finished deltas.

    ``id`` is the provider's word for a chat completion; answers of other APIs have none here.
    """

    deltas: tuple[Delta, ...] = ()
    usage: Usage | None = None
    model: str | None = None
    id: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_content(self) -> bool:
        """Whether any delta carries content."""
        return any(delta.has_content for delta in self.deltas)

"""Tool calls one after the other, for a dialect that tells only one at a time.

Invariant: no piece is lost. A call that others break into keeps its turn until its arguments are
whole, and they wait. This module does not know events.
"""

from collections.abc import Iterator

import orjson

from turnout.core import ToolCallDelta


class CallsInTurn:
    """Puts the pieces of parallel calls into an order in which each call is told at once.

    A piece of a call whose turn was over raises OutOfTurn.
    """

    def __init__(self) -> None:
        self._now: int | None = None
        self._said: list[str] = []
        self._waiting: dict[int, list[ToolCallDelta]] = {}
        self._told: set[int] = set()

    def take(self, call: ToolCallDelta) -> Iterator[ToolCallDelta]:
        """The pieces that may be told now. Raises OutOfTurn."""
        if call.index == self._now:
            yield self._tell(call)
        elif call.index not in self._told:
            self._waiting.setdefault(call.index, []).append(call)
            while self._waiting and self._is_whole():
                yield from self._next()
        elif call.arguments.strip():
            raise OutOfTurn

    def rest(self) -> Iterator[ToolCallDelta]:
        """The pieces that still wait; something else follows the calls, or nothing."""
        while self._waiting:
            yield from self._next()
        self._now = None

    def _next(self) -> Iterator[ToolCallDelta]:
        self._now = next(iter(self._waiting))
        self._told.add(self._now)
        self._said = []
        yield from map(self._tell, self._waiting.pop(self._now))

    def _tell(self, call: ToolCallDelta) -> ToolCallDelta:
        self._said.append(call.arguments)
        return call

    def _is_whole(self) -> bool:
        """Whether no more is to come of the call that is being told."""
        if self._now is None:
            return True
        text = "".join(self._said)
        if not text.rstrip().endswith("}"):
            return False
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            return False
        return True


class OutOfTurn(Exception):
    """A piece of a call that something else has followed."""

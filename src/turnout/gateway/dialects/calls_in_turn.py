"""Orders the pieces of parallel tool calls, for a dialect that can send only one call at a time.

Invariant: no piece is lost. The call that is being sent keeps its turn until its arguments are
complete; the pieces of other calls wait. This module does not know events.
"""

from collections.abc import Iterator

import orjson

from turnout.core import ToolCallDelta


class CallsInTurn:
    """Puts the pieces of parallel calls into an order in which each call comes as one run."""

    def __init__(self) -> None:
        self._current: int | None = None
        self._arguments: list[str] = []  # of the current call
        self._waiting: dict[int, list[ToolCallDelta]] = {}
        self._begun: set[int] = set()

    def take(self, call: ToolCallDelta) -> Iterator[ToolCallDelta]:
        """The pieces that may be sent now. Raises OutOfTurn."""
        if call.index == self._current:
            yield self._send(call)
        elif call.index not in self._begun:
            self._waiting.setdefault(call.index, []).append(call)
            while self._waiting and self._is_complete():
                yield from self._next()
        elif call.arguments.strip():
            raise OutOfTurn

    def rest(self) -> Iterator[ToolCallDelta]:
        """The pieces that still wait. Call it when the calls are over."""
        while self._waiting:
            yield from self._next()
        self._current = None

    def _next(self) -> Iterator[ToolCallDelta]:
        self._current = next(iter(self._waiting))
        self._begun.add(self._current)
        self._arguments = []
        yield from map(self._send, self._waiting.pop(self._current))

    def _send(self, call: ToolCallDelta) -> ToolCallDelta:
        self._arguments.append(call.arguments)
        return call

    def _is_complete(self) -> bool:
        """Whether the arguments of the current call are complete; true without a current call."""
        if self._current is None:
            return True
        text = "".join(self._arguments)
        if not text.rstrip().endswith("}"):
            return False
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            return False
        return True


class OutOfTurn(Exception):
    """A piece of a call that came after the call's turn was over."""

"""What the stream decoders of all wire families share.

Invariant: one malformed event is skipped, a second in a row is a fault; nothing follows a fault or
the stream's end. This module does not know what events mean.
"""

from collections.abc import Iterator
from typing import Any, TypedDict

import orjson

from turnout.core import Chunk, Fault
from turnout.providers.answer_body import bad_answer, begins_as_json, interrupted
from turnout.providers.errors import ErrorText, classify, read_error
from turnout.providers.fields import MISTYPED, Malformed
from turnout.providers.scrub import scrub
from turnout.providers.sse import MAX_EVENT_BYTES, Event, EventParser, EventTooLarge

_HEAD_BYTES = 2048


class Options(TypedDict, total=False):
    """``mark`` goes on thoughts; ``secrets`` are hidden in fault details."""

    mark: str
    secrets: frozenset[str]
    max_event_bytes: int


class StreamDecoder:
    """Decodes one stream, as Options say; a subclass reads its events."""

    def __init__(
        self,
        *,
        mark: str = "",
        secrets: frozenset[str] = frozenset(),
        max_event_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        self._mark = mark
        self._secrets = secrets
        self._parser = EventParser(max_event_bytes)
        self._head = b""
        self._malformed: str | None = None
        self._saw_event = False
        self._done = False
        self._fault: Fault | None = None

    @property
    def done(self) -> bool:
        """Whether the stream came to its end without a fault."""
        return self._done

    def feed(self, data: bytes) -> Iterator[Chunk | Fault]:
        """The chunks completed by ``data``. Nothing follows a Fault or the stream's end."""
        if self._over():
            return
        if not self._saw_event:
            self._head = (self._head + data)[:_HEAD_BYTES]
        try:
            for event in self._parser.feed(data):
                self._saw_event = True
                found = self._read(event)
                if found is not None:
                    yield found
                if self._over():
                    return
        except EventTooLarge:
            yield self._fail(bad_answer("an event of the stream is larger than the cap"))

    def end(self) -> Fault | None:
        """The fault of a stream that ended too early, or that was not an event stream at all."""
        if self._over():
            return None
        if self._malformed:
            return self._malformed_end()
        if not self._saw_event:
            return self._fail(self._no_stream())
        return self._fail(interrupted("the stream ended before it was finished"))

    def _read(self, event: Event) -> Chunk | Fault | None:
        try:
            payload = orjson.loads(event.data)
            error = self._error(payload, event)
            if error is not None:
                return self._fail(classify(None, error, secrets=self._secrets))
            chunk = self._chunk(payload)
        except (ValueError, Malformed, *MISTYPED) as problem:
            return self._skip(event, str(problem))
        self._malformed = None
        return chunk

    def _error(self, payload: Any, event: Event) -> ErrorText | None:
        """The error that the event reports, if it does. Raises Malformed for what is no event."""
        raise NotImplementedError

    def _chunk(self, payload: Any) -> Chunk | Fault | None:
        """The event's part of the answer; None if it has none."""
        raise NotImplementedError

    def _over(self) -> bool:
        return self._done or self._fault is not None

    def _fail(self, fault: Fault) -> Fault:
        self._fault = fault
        return fault

    def _malformed_end(self) -> Fault:
        why = f"the stream ended with a malformed event: {self._malformed}"
        return self._fail(bad_answer(why))

    def _skip(self, event: Event, problem: str) -> Fault | None:
        """Skips a malformed event; a second one in a row is a fault."""
        del event
        why = scrub(problem, self._secrets)
        if self._malformed:
            return self._fail(bad_answer(f"two malformed events in a row: {why}"))
        self._malformed = why
        return None

    def _no_stream(self) -> Fault:
        if not self._head.strip():
            return interrupted("the stream ended before its first event")
        error = read_error(self._head)
        if error.code or error.type:
            return classify(None, error, secrets=self._secrets)
        if begins_as_json(self._head):
            return bad_answer("the answer is not an event stream, but JSON")
        excerpt = scrub(error.message, self._secrets)
        return bad_answer(f"the answer is not an event stream: {excerpt}")

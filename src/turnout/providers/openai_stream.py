"""The events of a streamed OpenAI answer as chunks, with every way it can break off.

Invariant: a stream is complete only when each choice has its finish reason and ``[DONE]`` came;
anything else ends in a fault, and nothing follows a fault.
This module does not know requests or transports.
"""

from collections.abc import Iterator

import orjson

from turnout.core import Chunk, Fault
from turnout.providers.errors import ErrorText, classify, error_in, read_error
from turnout.providers.openai_chunks import Malformed, read_chunk
from turnout.providers.scrub import scrub
from turnout.providers.sse import MAX_EVENT_BYTES, Event, EventParser, EventTooLarge

_HEAD_BYTES = 2048


class OpenAIStreamDecoder:
    """Decodes one stream.

    One malformed event is skipped; a second in a row, or one that nothing follows, is a fault.
    ``secrets`` are hidden in fault details.
    """

    def __init__(
        self, *, secrets: frozenset[str] = frozenset(), max_event_bytes: int = MAX_EVENT_BYTES
    ) -> None:
        self._secrets = secrets
        self._parser = EventParser(max_event_bytes)
        self._head = b""
        self._open_choices: set[int] = set()
        self._finished = False
        self._malformed: str | None = None
        self._saw_event = False
        self._done = False
        self._fault: Fault | None = None

    @property
    def done(self) -> bool:
        """Whether ``[DONE]`` came after all that must come before it."""
        return self._done

    def feed(self, data: bytes) -> Iterator[Chunk | Fault]:
        """The chunks completed by ``data``; a Fault is final, and so is ``[DONE]``."""
        if self._over():
            return
        if not self._saw_event:
            self._head = (self._head + data)[:_HEAD_BYTES]
        try:
            for event in self._parser.feed(data):
                found = self._read(event)
                if found is not None:
                    yield found
                if self._over():
                    return
        except EventTooLarge:
            yield self._fail(_bad("an event of the stream is larger than the cap"))

    def end(self) -> Fault | None:
        """The fault of a stream that ended too early, or that was no event stream at all."""
        if self._over():
            return None
        event = self._parser.pending()
        found = self._read(event) if event else None
        if self._over():
            return found if isinstance(found, Fault) else None
        if self._malformed:
            return self._fail(_bad(f"the stream ended with a malformed event: {self._malformed}"))
        if not self._saw_event:
            return self._fail(self._no_stream())
        return self._fail(_interrupted("the stream ended before it was finished"))

    def _over(self) -> bool:
        return self._done or self._fault is not None

    def _fail(self, fault: Fault) -> Fault:
        self._fault = fault
        return fault

    def _read(self, event: Event) -> Chunk | Fault | None:
        self._saw_event = True
        if event.data.strip() == "[DONE]":
            return self._finish()
        try:
            payload = orjson.loads(event.data)
            error = error_in(payload)
            if error is None and event.type == "error":
                error = ErrorText(message=event.data)
            if error is not None:
                return self._fail(classify(None, error, secrets=self._secrets))
            chunk = read_chunk(payload, "delta")
        except (orjson.JSONDecodeError, Malformed) as problem:
            return self._skip(scrub(str(problem), self._secrets))
        self._malformed = None
        return self._note(chunk)

    def _skip(self, problem: str) -> Fault | None:
        if self._malformed:
            return self._fail(_bad(f"two malformed events in a row: {problem}"))
        self._malformed = problem
        return None

    def _note(self, chunk: Chunk) -> Chunk | Fault:
        for delta in chunk.deltas:
            if delta.finish_reason is None:
                self._open_choices.add(delta.choice)
                continue
            self._finished = True
            self._open_choices.discard(delta.choice)
            if delta.finish_reason == "error":
                return self._fail(_interrupted("the provider ended the stream with an error"))
        return chunk

    def _finish(self) -> Fault | None:
        if self._malformed:
            return self._fail(_bad(f"the stream ended with a malformed event: {self._malformed}"))
        if not (self._finished or self._open_choices):
            return self._fail(_bad("the stream ended without any choice"))
        if self._open_choices:
            return self._fail(_interrupted("the stream ended without a finish reason"))
        self._done = True
        return None

    def _no_stream(self) -> Fault:
        if not self._head.strip():
            return _interrupted("the stream ended before its first event")
        error = read_error(self._head)
        excerpt = scrub(error.message, self._secrets)
        if error.code or error.type:
            return classify(None, error, secrets=self._secrets)
        return _bad(f"the answer is no event stream: {excerpt}")


def _bad(detail: str) -> Fault:
    return Fault(kind="bad_response", detail=detail, retry="transient")


def _interrupted(detail: str) -> Fault:
    return Fault(kind="interrupted", detail=detail, retry="transient")

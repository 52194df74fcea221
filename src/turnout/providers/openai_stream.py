"""Reads the events of a streamed OpenAI answer as chunks.

Invariant: a stream is complete only when each choice has its finish reason and ``[DONE]`` came; any
other end is a fault, and nothing follows a fault.
This module does not know requests or transports.
"""

from typing import Any, Unpack

from msgspec import structs

from turnout.core import Chunk, Fault
from turnout.providers.answer_body import bad_answer, interrupted
from turnout.providers.call_numbers import CallNumbers
from turnout.providers.errors import ErrorText, error_in
from turnout.providers.openai_chunks import INTERRUPTED, read_chunk
from turnout.providers.signatures import bare_mark
from turnout.providers.sse import Event
from turnout.providers.stream_decoder import Options, StreamDecoder


class OpenAIStreamDecoder(StreamDecoder):
    """Decodes one stream; puts ``mark`` on its thoughts."""

    def __init__(self, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self._numbers = CallNumbers()
        self._thought = 0  # length of the first choice's thought so far
        self._open_choices: set[int] = set()
        self._finished = False

    def end(self) -> Fault | None:
        """Like StreamDecoder.end; the blank line after ``[DONE]`` may be missing."""
        event = None if self._over() else self._parser.pending()
        if event is not None:
            self._saw_event = True
            found = self._read(event)
            if isinstance(found, Fault):
                return found
        return super().end()

    def _error(self, payload: Any, event: Event) -> ErrorText | None:
        if event.type == "error":
            return error_in(payload) or ErrorText(message=event.data)
        return error_in(payload)

    def _chunk(self, payload: Any) -> Chunk | Fault:
        chunk = read_chunk(payload, "delta")
        has_calls = False
        for delta in chunk.deltas:
            if delta.tool_calls:
                has_calls = True
            if delta.reasoning and delta.choice == 0:
                self._thought += len(delta.reasoning)
            if delta.finish_reason is None:
                self._open_choices.add(delta.choice)
                continue
            self._finished = True
            self._open_choices.discard(delta.choice)
            if delta.finish_reason in INTERRUPTED:
                reason = f"the provider ended the stream with {delta.finish_reason!r}"
                return self._fail(interrupted(reason))
        if has_calls:
            chunk = self._numbers.of(chunk)
        return self._signed(chunk) if self._thought and self._mark else chunk

    def _signed(self, chunk: Chunk) -> Chunk:
        """The chunk, with a mark once the first choice's thought has ended."""
        first = next((delta for delta in chunk.deltas if delta.choice == 0), None)
        if first is None or not (first.text or first.tool_calls or first.finish_reason):
            return chunk
        signed = structs.replace(first, signature=bare_mark(self._mark, self._thought))
        self._thought = 0
        deltas = tuple([signed if delta is first else delta for delta in chunk.deltas])
        return structs.replace(chunk, deltas=deltas)

    def _skip(self, event: Event, problem: str) -> Fault | None:
        """Like StreamDecoder's, but for the end mark, which is not JSON."""
        return self._finish() if event.data.strip() == "[DONE]" else super()._skip(event, problem)

    def _finish(self) -> Fault | None:
        if self._malformed:
            return self._malformed_end()
        if not (self._finished or self._open_choices):
            return self._fail(bad_answer("the stream ended without any choice"))
        if self._open_choices:
            return self._fail(interrupted("the stream ended without a finish reason"))
        self._done = True
        return None

"""Reads the events of a streamed OpenAI answer as chunks.

Invariant: a stream is complete only when each choice has its finish reason and ``[DONE]`` came; any
other end is a fault, and nothing follows a fault.
This module does not know requests or transports.
"""

from typing import Unpack

import orjson
from msgspec import structs

from turnout.core import Chunk, Fault
from turnout.providers.answer_body import bad_answer, interrupted
from turnout.providers.call_numbers import CallNumbers
from turnout.providers.errors import ErrorText, classify, error_in
from turnout.providers.fields import Malformed
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

    def _read(self, event: Event) -> Chunk | Fault | None:
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
            return self._skip(str(problem))
        self._malformed = None
        return self._note(chunk)

    def _note(self, chunk: Chunk) -> Chunk | Fault:
        for delta in chunk.deltas:
            if delta.tool_calls:
                chunk = self._numbers.of(chunk)
                break
        for delta in chunk.deltas:
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

    def _finish(self) -> Fault | None:
        if self._malformed:
            return self._malformed_end()
        if not (self._finished or self._open_choices):
            return self._fail(bad_answer("the stream ended without any choice"))
        if self._open_choices:
            return self._fail(interrupted("the stream ended without a finish reason"))
        self._done = True
        return None

"""The events of a streamed Anthropic answer as chunks, with every way it can break off.

Invariant: a stream is complete only at ``message_stop`` after a stop reason; anything else ends in
a fault, and nothing follows a fault.
Source: platform.claude.com/docs/en/build-with-claude/streaming.
This module does not know requests or transports.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from turnout.core import Chunk, Delta, Fault, ToolCallDelta, Usage
from turnout.providers.anthropic_answer import FINISH_REASONS
from turnout.providers.anthropic_usage import anthropic_usage
from turnout.providers.errors import ErrorText, classify, error_in, read_error
from turnout.providers.openai_chunks import Malformed
from turnout.providers.scrub import scrub
from turnout.providers.signatures import marked
from turnout.providers.sse import MAX_EVENT_BYTES, Event, EventParser, EventTooLarge

_HEAD_BYTES = 2048


class AnthropicStreamDecoder:
    """Decodes one stream. One malformed event is skipped; a second in a row is a fault.

    ``mark`` goes on signatures; ``secrets`` are hidden in fault details.
    """

    def __init__(
        self,
        *,
        mark: str,
        secrets: frozenset[str] = frozenset(),
        max_event_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        self._mark = mark
        self._secrets = secrets
        self._parser = EventParser(max_event_bytes)
        self._head = b""
        self._calls: dict[int, int] = {}
        self._signed: set[int] = set()
        self._usage: list[object] = []
        self._stopped = False
        self._malformed = False
        self._saw_event = False
        self._done = False
        self._fault: Fault | None = None

    @property
    def done(self) -> bool:
        """Whether ``message_stop`` came after a stop reason."""
        return self._done

    def feed(self, data: bytes) -> Iterator[Chunk | Fault]:
        """The chunks completed by ``data``; a Fault is final, and so is ``message_stop``."""
        if not self._saw_event:
            self._head = (self._head + data)[:_HEAD_BYTES]
        try:
            for event in self._parser.feed(data):
                if self._over():
                    return
                found = self._read(event)
                if found is not None:
                    yield found
        except EventTooLarge:
            yield self._fail(_bad("an event of the stream is larger than the cap"))

    def end(self) -> Fault | None:
        """The fault of a stream that ended too early, or that was no event stream at all."""
        if self._over():
            return None
        if self._saw_event:
            return self._fail(_interrupted("the stream ended before it was finished"))
        if not self._head.strip():
            return self._fail(_interrupted("the stream ended before its first event"))
        error = read_error(self._head)
        if error.code or error.type:
            return self._fail(classify(None, error, secrets=self._secrets))
        excerpt = scrub(error.message, self._secrets)
        return self._fail(_bad(f"the answer is no event stream: {excerpt}"))

    def _over(self) -> bool:
        return self._done or self._fault is not None

    def _fail(self, fault: Fault) -> Fault:
        self._fault = fault
        return fault

    def _read(self, event: Event) -> Chunk | Fault | None:
        self._saw_event = True
        try:
            payload = orjson.loads(event.data)
            if not isinstance(payload, dict):
                raise Malformed("an event is no object")  # noqa: TRY301 -- one place to skip it
            if payload.get("type") == "error" or event.type == "error":
                error = error_in(payload) or ErrorText(message=event.data)
                return self._fail(classify(None, error, secrets=self._secrets))
            chunk = self._chunk(payload)
        except (ValueError, Malformed, AttributeError, LookupError, TypeError) as problem:
            if self._malformed:
                why = scrub(str(problem), self._secrets)
                return self._fail(_bad(f"two malformed events in a row: {why}"))
            self._malformed = True
            return None
        self._malformed = False
        return chunk

    def _chunk(self, payload: dict[str, Any]) -> Chunk | Fault | None:
        kind = payload.get("type")
        if kind == "message_start":
            message = _object(payload["message"])
            self._usage.append(message.get("usage"))
            model, ident = _maybe(message.get("model")), _maybe(message.get("id"))
            return Chunk(model=model, id=ident, raw=payload, usage=self._bill())
        if kind == "message_stop":
            return self._stop(payload)
        if kind == "message_delta":
            return self._ending(payload)
        return Chunk(deltas=self._deltas(payload), raw=payload)

    def _stop(self, payload: dict[str, Any]) -> Chunk | Fault:
        if not self._stopped:
            return self._fail(_interrupted("the stream ended without a stop reason"))
        self._done = True
        return Chunk(raw=payload)

    def _ending(self, payload: dict[str, Any]) -> Chunk:
        self._usage.append(payload.get("usage"))
        reason = (payload.get("delta") or {}).get("stop_reason")
        self._stopped = self._stopped or bool(reason)
        finish = FINISH_REASONS.get(reason, "stop") if reason else None
        return Chunk(deltas=(Delta(finish_reason=finish),), usage=self._bill(), raw=payload)

    def _bill(self) -> Usage | None:
        """The usage, once an end has counted the answer; what it begins with is no count."""
        ends = [usage for usage in self._usage[1:] if isinstance(usage, dict)]
        counted = any(usage.get("output_tokens") is not None for usage in ends)
        return anthropic_usage(*self._usage) if counted else None

    def _deltas(self, payload: dict[str, Any]) -> tuple[Delta, ...]:
        if payload.get("type") == "content_block_start":
            return self._block(_place(payload["index"]), _object(payload["content_block"]))
        if payload.get("type") == "content_block_delta":
            return self._piece(payload)
        return ()

    def _block(self, index: int, block: dict[str, Any]) -> tuple[Delta, ...]:
        if block.get("type") == "redacted_thinking":
            block["data"] = marked(str(block.get("data") or ""), self._mark)
        if block.get("type") != "tool_use":
            return (Delta(text=_text(block["text"])),) if block.get("text") else ()
        place = self._calls[index] = len(self._calls)
        call = ToolCallDelta(
            index=place, id=_maybe(block.get("id")), name=_maybe(block.get("name"))
        )
        return (Delta(tool_calls=(call,)),)

    def _piece(self, payload: dict[str, Any]) -> tuple[Delta, ...]:
        index, delta = _place(payload["index"]), _object(payload["delta"])
        kind = delta.get("type")
        if kind == "text_delta":
            return (Delta(text=_text(delta.get("text"))),)
        if kind == "thinking_delta":
            return (Delta(reasoning=_text(delta.get("thinking"))),)
        if kind == "signature_delta":
            if index not in self._signed:
                self._signed.add(index)
                delta["signature"] = marked(_text(delta.get("signature")), self._mark)
            return (Delta(signature=_text(delta.get("signature"))),)
        if kind == "input_json_delta" and index in self._calls:
            text = _text(delta.get("partial_json"))
            return (Delta(tool_calls=(ToolCallDelta(index=self._calls[index], arguments=text),)),)
        return ()


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed("an object is missing")
    return value


def _place(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Malformed("an index is no count")
    return value


def _maybe(value: object) -> str | None:
    return None if value is None else _text(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Malformed("a text field is not text")
    return value


def _bad(detail: str) -> Fault:
    return Fault(kind="bad_response", detail=detail, retry="transient")


def _interrupted(detail: str) -> Fault:
    return Fault(kind="interrupted", detail=detail, retry="transient")

"""Reads the events of a streamed Anthropic answer as chunks.

Invariant: a stream is complete only at ``message_stop`` after a stop reason; any other end is a
fault, and nothing follows a fault.
Source: platform.claude.com/docs/en/build-with-claude/streaming.
This module does not know requests or transports.
"""

from collections.abc import Mapping
from typing import Any, Unpack

import orjson

from turnout.core import Chunk, Delta, Fault, ToolCallDelta, Usage
from turnout.core.hosted import MODEL_BLOCKS, SERVER_TOOL
from turnout.core.lost_fields import objects_in
from turnout.providers.answer_body import interrupted
from turnout.providers.anthropic_answer import FINISH_REASONS, refusal_in, sources_of
from turnout.providers.anthropic_usage import anthropic_usage
from turnout.providers.errors import ErrorText, error_in
from turnout.providers.fields import a_text, an_index, an_object, any_text
from turnout.providers.signatures import marked, marked_redacted
from turnout.providers.sse import Event
from turnout.providers.stream_decoder import Options, StreamDecoder

# A sign that a hosted tool is at work.
_AT_WORK = Delta(hosted=SERVER_TOOL)


class AnthropicStreamDecoder(StreamDecoder):
    """Decodes one stream; puts ``mark`` on its signatures."""

    def __init__(self, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self._calls: dict[int, int] = {}  # a block's index: the call's number
        self._inputs: dict[int, Any] = {}  # arguments of calls that no piece came of yet
        self._thought: dict[int, int] = {}  # a block's index: the length of its thought
        self._signed: set[int] = set()
        self._text_length = self._block_start = 0
        self._cited: list[Mapping[str, Any]] = []  # citations of the block of text
        self._usage: list[object] = []
        self._stopped = False

    def _error(self, payload: Any, event: Event) -> ErrorText | None:
        if an_object(payload, "an event").get("type") == "error" or event.type == "error":
            return error_in(payload) or ErrorText(message=event.data)
        return None

    def _chunk(self, payload: dict[str, Any]) -> Chunk | Fault | None:
        kind = payload.get("type")
        if kind == "message_start":
            message = an_object(payload["message"])
            self._usage.append(message.get("usage"))
            model = any_text(message.get("model")) or None
            return Chunk(model=model, raw=payload, usage=self._bill())
        if kind == "message_stop":
            return self._stop(payload)
        if kind == "message_delta":
            return self._ending(payload)
        return Chunk(deltas=self._deltas(kind, payload), raw=payload)

    def _stop(self, payload: dict[str, Any]) -> Chunk | Fault:
        if not self._stopped:
            return self._fail(interrupted("the stream ended without a stop reason"))
        self._done = True
        return Chunk(raw=payload)

    def _ending(self, payload: dict[str, Any]) -> Chunk:
        self._usage.append(payload.get("usage"))
        delta = payload.get("delta") or {}
        reason = delta.get("stop_reason")
        self._stopped = self._stopped or bool(reason)
        finish = FINISH_REASONS.get(reason, "stop") if reason else None
        end = Delta(refusal=refusal_in(delta), finish_reason=finish)
        return Chunk(deltas=(end,), usage=self._bill(), raw=payload)

    def _bill(self) -> Usage | None:
        """The usage; None until an event after ``message_start`` counts the answer's tokens."""
        ends = [usage for usage in self._usage[1:] if isinstance(usage, dict)]
        counted = any(usage.get("output_tokens") is not None for usage in ends)
        return anthropic_usage(*self._usage) if counted else None

    def _deltas(self, kind: object, payload: dict[str, Any]) -> tuple[Delta, ...]:
        if kind == "content_block_start":
            return self._block(an_index(payload["index"]), an_object(payload["content_block"]))
        if kind == "content_block_delta":
            return self._piece(payload)
        return self._block_end(payload) if kind == "content_block_stop" else ()

    def _block(self, index: int, block: dict[str, Any]) -> tuple[Delta, ...]:
        if block.get("type") == "redacted_thinking":
            data = marked_redacted(str(block.get("data") or ""), self._mark, self._text_length)
            block["data"] = data
            return (Delta(signature=data),) if data else ()
        if block.get("type") not in MODEL_BLOCKS:
            return (_AT_WORK,)
        self._block_start = self._text_length
        if block.get("type") != "tool_use":
            return (self._text(block["text"]),) if block.get("text") else ()
        place = self._calls[index] = len(self._calls)
        ident, name = any_text(block.get("id")), any_text(block.get("name"))
        self._inputs[index] = block.get("input") or {}
        return (Delta(tool_calls=(ToolCallDelta(index=place, id=ident, name=name),)),)

    def _block_end(self, payload: dict[str, Any]) -> tuple[Delta, ...]:
        """The sources of a text, or the arguments of a call that did not come in pieces."""
        if self._cited:
            sources = sources_of(self._cited, self._block_start, self._text_length)
            self._cited = []
            return (Delta(sources=sources),) if sources else ()
        index = payload.get("index")
        if index not in self._inputs:
            return ()
        arguments = orjson.dumps(self._inputs.pop(index)).decode()
        return (Delta(tool_calls=(ToolCallDelta(index=self._calls[index], arguments=arguments),)),)

    def _text(self, text: object) -> Delta:
        piece = a_text(text)
        self._text_length += len(piece)
        return Delta(text=piece)

    def _piece(self, payload: dict[str, Any]) -> tuple[Delta, ...]:
        index, delta = an_index(payload["index"]), an_object(payload["delta"])
        kind = delta.get("type")
        if kind == "text_delta":
            return (self._text(delta.get("text")),)
        if kind == "thinking_delta":
            thought = a_text(delta.get("thinking"))
            self._thought[index] = self._thought.get(index, 0) + len(thought)
            return (Delta(reasoning=thought),)
        if kind == "signature_delta":
            if index not in self._signed:
                self._signed.add(index)
                length = self._thought.get(index, 0)
                signature = a_text(delta.get("signature"))
                delta["signature"] = marked(signature, self._mark, length, self._text_length)
            return (Delta(signature=a_text(delta.get("signature"))),)
        if kind == "citations_delta":
            self._cited += objects_in([delta.get("citation")])
        if kind != "input_json_delta":
            return ()
        if index not in self._calls:
            return (_AT_WORK,)
        text = a_text(delta.get("partial_json"))
        if text:
            self._inputs.pop(index, None)
        return (Delta(tool_calls=(ToolCallDelta(index=self._calls[index], arguments=text),)),)

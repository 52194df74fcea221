"""The faulty upstream's answers in Anthropic's wire form.

Invariant: it says what the chat form says, token for token; thoughts are signed by the model that
had them, and a signature of another model is refused, as the real API does.
This module does not know faults or sockets.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}

Payload = Mapping[str, Any]


def chat_shape(body: Payload) -> dict[str, Any]:
    """A Messages body as this upstream's answers read it. Raises ValueError."""
    for message in body["messages"]:
        _check_signatures(message, body["model"])
    chat = dict(body)
    tools = [
        {"function": {**t, "parameters": t.get("input_schema")}} for t in body.get("tools", ())
    ]
    chat["tools"] = tools
    choice = body.get("tool_choice") or {}
    chat["tool_choice"] = {"function": choice} if choice.get("name") else choice.get("type")
    thinking = (body.get("thinking") or {}).get("type")
    chat["reasoning_effort"] = thinking in ("enabled", "adaptive")
    schema_format = (body.get("output_config") or {}).get("format")
    if schema_format:
        schema = {"schema": schema_format.get("schema")}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    if any(block.get("type") == "tool_result" for block in _blocks(body["messages"][-1])):
        chat["messages"] = [*body["messages"][:-1], {**body["messages"][-1], "role": "tool"}]
    return chat


def error_body(error: Payload) -> dict[str, Any]:
    """An inner error object in Anthropic's envelope."""
    return {"type": "error", "error": {"type": error["type"], "message": error["message"]}}


class AnthropicWire:
    """Turns a chat answer, whole or the events of its stream, into Anthropic's."""

    def __init__(self, prompt_usage: Payload) -> None:
        self._prompt_usage = prompt_usage
        self._block = -1
        self._open: str | None = None
        self._model = ""
        self._stop_reason: str | None = None
        self._usage: dict[str, int] | None = None

    def whole(self, completion: Payload) -> dict[str, Any]:
        """A chat completion as a message."""
        usage = completion.get("usage")
        message: dict[str, Any] = {
            "id": completion["id"].replace("chatcmpl-", "msg_"),
            "type": "message",
            "role": "assistant",
            "model": completion["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }
        if usage:
            message["usage"] = _usage(usage)
        for choice in completion["choices"]:
            message["content"] = list(_content(choice["message"], completion["model"]))
            message["stop_reason"] = _STOP_REASONS.get(choice["finish_reason"])
        if not completion["choices"]:
            del message["content"]
        return message

    def events(self, payload: Payload) -> Iterator[dict[str, Any]]:
        """The events of one chat event."""
        if "error" in payload:
            yield error_body(payload["error"])
            return
        if not self._model:
            self._model = payload["model"]
            message = {**self.whole({**payload, "choices": []}), "content": []}
            yield {
                "type": "message_start",
                "message": {**message, "usage": _usage(self._prompt_usage)},
            }
        if payload.get("usage"):
            self._usage = _usage(payload["usage"])
        for choice in payload["choices"]:
            yield from self._delta(choice["delta"])
            if choice["finish_reason"]:
                self._stop_reason = _STOP_REASONS.get(choice["finish_reason"])

    def end(self) -> Iterator[dict[str, Any]]:
        """The events that end the stream."""
        yield from self._close()
        reason = {"stop_reason": self._stop_reason, "stop_sequence": None}
        usage = self._usage or {}
        yield {"type": "message_delta", "delta": reason, "usage": usage}
        yield {"type": "message_stop"}

    def _delta(self, delta: Payload) -> Iterator[dict[str, Any]]:
        if delta.get("reasoning_content"):
            yield from self._start("thinking", {"type": "thinking", "thinking": ""})
            yield self._piece("thinking_delta", thinking=delta["reasoning_content"])
        if delta.get("content"):
            yield from self._start("text", {"type": "text", "text": ""})
            yield self._piece("text_delta", text=delta["content"])
        for call in delta.get("tool_calls", ()):
            function = call["function"]
            if "id" in call:
                head = {"type": "tool_use", "id": call["id"], "name": function["name"], "input": {}}
                yield from self._start(f"tool {call['index']}", head)
            if function["arguments"]:
                yield self._piece("input_json_delta", partial_json=function["arguments"])

    def _start(self, name: str, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if self._open == name:
            return
        yield from self._close()
        self._open = name
        self._block += 1
        yield {"type": "content_block_start", "index": self._block, "content_block": block}

    def _close(self) -> Iterator[dict[str, Any]]:
        if self._open == "thinking":
            yield self._piece("signature_delta", signature=signature(self._model))
        if self._open is not None:
            self._open = None
            yield {"type": "content_block_stop", "index": self._block}

    def _piece(self, kind: str, **fields: str) -> dict[str, Any]:
        delta = {"type": kind, **fields}
        return {"type": "content_block_delta", "index": self._block, "delta": delta}


def signature(model: str) -> str:
    """What a model signs its thoughts with."""
    return f"signed+by+{model}=="


def _content(message: Payload, model: str) -> Iterator[dict[str, Any]]:
    if message.get("reasoning_content"):
        thought = message["reasoning_content"]
        yield {"type": "thinking", "thinking": thought, "signature": signature(model)}
    if message.get("content"):
        yield {"type": "text", "text": message["content"]}
    for call in message.get("tool_calls", ()):
        function = call["function"]
        arguments = _parsed_or_empty(function["arguments"])
        yield {"type": "tool_use", "id": call["id"], "name": function["name"], "input": arguments}


def _parsed_or_empty(arguments: str) -> Any:
    """The arguments, or nothing if the cap cut them off, so that they are not JSON."""
    try:
        return json.loads(arguments)
    except ValueError:
        return {}


def _usage(usage: Payload) -> dict[str, int]:
    details = usage.get("prompt_tokens_details") or {}
    read, written = details.get("cached_tokens", 0), details.get("cache_write_tokens", 0)
    return {
        "input_tokens": usage["prompt_tokens"] - read - written,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "output_tokens": usage["completion_tokens"],
    }


def _check_signatures(message: Payload, model: str) -> None:
    for block in _blocks(message):
        if block.get("type") == "thinking" and block.get("signature") != signature(model):
            raise ValueError("Invalid `signature` in `thinking` block")


def _blocks(message: Payload) -> list[Payload]:
    content = message.get("content")
    return list(content) if isinstance(content, list) else []

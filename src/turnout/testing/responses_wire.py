"""The faulty upstream's answers in the wire form of OpenAI's Responses.

Written independently of the gateway's writer of this form, which it is used to test. Invariant: it
has the same tokens as the chat form; a thought is encrypted by the model that had it, and another
model's thought is refused, as by the real API.
This module does not know faults or sockets.
"""

from collections.abc import Iterator, Mapping
from secrets import token_hex
from typing import Any

_STATUS = {"stop": "completed", "tool_calls": "completed", "length": "incomplete"}
_ROLES = {"function_call": "assistant", "function_call_output": "tool", "reasoning": "assistant"}

# Tools that the caller runs; the others run here, before the answer.
_CALLER_TOOLS = frozenset({"function", "custom", "namespace"})

Payload = Mapping[str, Any]


def chat_shape(body: Payload) -> dict[str, Any]:
    """A Responses body in chat's form, which this upstream reads, with the original.

    Raises ValueError.
    """
    if body.get("store") is not False:
        raise ValueError("store must be false here: nothing is kept")
    items = body["input"]
    items = [{"role": "user", "content": items}] if isinstance(items, str) else items
    for item in items:
        _check(item, body["model"])
    if not isinstance(body.get("include") or [], list):
        raise TypeError("include must be a list")
    chat = {**body, "native": body, "messages": [{**item, "role": _role(item)} for item in items]}
    tools = [tool for tool in body.get("tools", ()) if tool["type"] in _CALLER_TOOLS]
    chat["tools"] = [{"function": tool} for tool in tools]
    choice = body.get("tool_choice")
    chat["tool_choice"] = {"function": choice} if isinstance(choice, dict) else choice
    effort = (body.get("reasoning") or {}).get("effort")
    chat["reasoning_effort"] = None if effort == "none" else effort
    chat["max_completion_tokens"] = body.get("max_output_tokens")
    text_format = (body.get("text") or {}).get("format") or {}
    if text_format:
        chat["response_format"] = {"type": text_format["type"], "json_schema": text_format}
    return chat


class ResponsesWire:
    """Turns a chat answer, whole or an event of its stream, into one to the body that was read."""

    def __init__(self, request: Payload) -> None:
        self._request = request
        self._response: dict[str, Any] = {}
        self._open: str | None = None
        self._items: list[dict[str, Any]] = []
        self._sequence = 0
        self._finish: str | None = None
        self._empty = True

    def whole(self, completion: Payload) -> dict[str, Any]:
        """A chat completion as a response."""
        response = _response(completion, self._request)
        for choice in completion["choices"]:
            response["status"] = _STATUS.get(choice["finish_reason"], "completed")
            if response["status"] == "incomplete":
                response["incomplete_details"] = {"reason": "max_output_tokens"}
            items = _items(choice["message"], response, self._request)
            response["output"] = [*_hosted(self._request), *items]
        response["usage"] = _usage(completion.get("usage"))
        return response

    def events(self, payload: Payload) -> Iterator[dict[str, Any]]:
        """The events of one chat event."""
        if "error" in payload:
            error = payload["error"]
            fields = {"code": error["code"], "message": error["message"], "param": error["param"]}
            yield self._event("error", **fields)
            return
        if not self._response:
            self._response = {**_response(payload, self._request), "status": "in_progress"}
            yield self._event("response.created", response=dict(self._response))
            yield from self._hosted_events()
            return
        if payload.get("usage"):
            self._response["usage"] = _usage(payload["usage"])
        for choice in payload["choices"]:
            self._empty = False
            self._finish = choice["finish_reason"] or self._finish
            if not choice["delta"] and not choice["finish_reason"]:
                yield self._event("response.in_progress", response=dict(self._response))
            yield from self._delta(choice["delta"])

    def end(self) -> Iterator[dict[str, Any]]:
        """The events that end the stream, without a status if there was no finish reason."""
        yield from self._close()
        empty = "completed" if self._empty else None
        status = _STATUS.get(self._finish or "", empty)
        response = {**self._response, "status": status, "output": self._items}
        if status == "incomplete":
            response["incomplete_details"] = {"reason": "max_output_tokens"}
        yield self._event(f"response.{status or 'completed'}", response=response)

    def _hosted_events(self) -> Iterator[dict[str, Any]]:
        """The results of the tools that run here."""
        for item in _hosted(self._request):
            self._items.append(item)
            started = {**item, "status": "in_progress"}
            yield self._event("response.output_item.added", output_index=self._last, item=started)
            for step in ("in_progress", "completed"):
                yield self._piece(f"response.{item['type']}.{step}")
            yield self._event("response.output_item.done", output_index=self._last, item=item)

    def _delta(self, delta: Payload) -> Iterator[dict[str, Any]]:
        if delta.get("reasoning_content"):
            yield from self._start("thought", _reasoning(self._response, "", self._request))
            part = {"type": "summary_text", "text": ""}
            if not self._items[-1]["summary"]:
                self._items[-1]["summary"] = [part]
                kind = "response.reasoning_summary_part.added"
                yield self._piece(kind, summary_index=0, part=dict(part))
            self._items[-1]["summary"][0]["text"] += delta["reasoning_content"]
            kind = "response.reasoning_summary_text.delta"
            yield self._piece(kind, summary_index=0, delta=delta["reasoning_content"])
        if delta.get("content"):
            yield from self._start("text", _message(self._response, "", "in_progress"))
            part = self._items[-1]["content"][0]
            if not part["text"]:
                yield self._piece("response.content_part.added", content_index=0, part=dict(part))
            part["text"] += delta["content"]
            kind = "response.output_text.delta"
            yield self._piece(kind, content_index=0, delta=delta["content"], logprobs=[])
        for call in delta.get("tool_calls", ()):
            function = call["function"]
            if "id" in call:
                item = _call(self._response, {**call, "function": {**function, "arguments": ""}})
                yield from self._start(f"call {call['index']}", item)
            if function["arguments"]:
                self._items[-1]["arguments"] += function["arguments"]
                kind = "response.function_call_arguments.delta"
                yield self._piece(kind, delta=function["arguments"])

    def _start(self, name: str, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if self._open == name:
            return
        yield from self._close()
        self._open = name
        self._items.append(item)
        added = {**item, "content": []} if name == "text" else dict(item)
        yield self._event("response.output_item.added", output_index=self._last, item=added)

    @property
    def _last(self) -> int:
        return len(self._items) - 1

    def _close(self) -> Iterator[dict[str, Any]]:
        if self._open is None:
            return
        item, self._open = self._items[-1], None
        if item["type"] == "message":
            text, part = item["content"][0]["text"], item["content"][0]
            yield self._piece("response.output_text.done", content_index=0, text=text, logprobs=[])
            yield self._piece("response.content_part.done", content_index=0, part=part)
        elif item["type"] == "reasoning":
            part, kind = item["summary"][0], "response.reasoning_summary"
            yield self._piece(f"{kind}_text.done", summary_index=0, text=part["text"])
            yield self._piece(f"{kind}_part.done", summary_index=0, part=part)
        else:
            kind = "response.function_call_arguments.done"
            yield self._piece(kind, arguments=item["arguments"], name=item["name"])
        if "status" in item:
            item["status"] = "completed"
        yield self._event("response.output_item.done", output_index=self._last, item=dict(item))

    def _piece(self, kind: str, **fields: Any) -> dict[str, Any]:
        item = self._items[-1]
        return self._event(kind, item_id=item["id"], output_index=self._last, **fields)

    def _event(self, kind: str, **fields: Any) -> dict[str, Any]:
        self._sequence += 1
        return {"type": kind, "sequence_number": self._sequence - 1, **fields}


def encrypted(model: str) -> str:
    """A model's thought in encrypted form."""
    return f"encrypted+by+{model}=="


def _role(item: Payload) -> str:
    return str(item.get("role") or _ROLES.get(item["type"], "user"))


def _check(item: Payload, model: str) -> None:
    if item.get("type") != "reasoning":
        return
    if item.get("encrypted_content") != encrypted(model):
        raise ValueError("The encrypted content could not be verified")


def _response(payload: Payload, request: Payload) -> dict[str, Any]:
    return {
        "id": f"resp_{token_hex(24)}",  # no two are the same, as at OpenAI
        "object": "response",
        "created_at": payload["created"],
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": request.get("instructions"),
        "metadata": {},
        "model": payload["model"],
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "temperature": 1.0,
        "tool_choice": request.get("tool_choice") or "auto",
        "tools": request.get("tools") or [],
        "top_p": 1.0,
        "usage": None,
    }


def _hosted(request: Payload) -> list[dict[str, Any]]:
    """A call of each tool that runs here."""
    kinds = [tool["type"] for tool in request.get("tools", ()) if tool["type"] not in _CALLER_TOOLS]
    return [
        {
            "id": f"ws_{index}",
            "type": f"{kind}_call",
            "status": "completed",
            "action": {"type": "search", "query": "trains"},
        }
        for index, kind in enumerate(kinds)
    ]


def _items(message: Payload, response: Payload, request: Payload) -> Iterator[dict[str, Any]]:
    if message.get("reasoning_content"):
        yield _reasoning(response, message["reasoning_content"], request)
    if message.get("content"):
        yield _message(response, message["content"], response["status"])
    for index, call in enumerate(message.get("tool_calls", ())):
        yield {**_call(response, {"index": index, **call}), "status": "completed"}


def _reasoning(response: Payload, thought: str, request: Payload) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": thought}] if thought else []
    item = {"id": f"rs_{response['id']}", "type": "reasoning", "summary": summary}
    wants_encrypted = "reasoning.encrypted_content" in (request.get("include") or ())
    return {**item, "encrypted_content": encrypted(response["model"]) if wants_encrypted else None}


def _message(response: Payload, text: str, status: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "id": f"msg_{response['id']}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [part],
    }


def _call(response: Payload, call: Payload) -> dict[str, Any]:
    return {
        "id": f"fc_{response['id']}_{call['index']}",
        "type": "function_call",
        "status": "in_progress",
        "call_id": call["id"],
        "name": call["function"]["name"],
        "arguments": call["function"]["arguments"],
    }


def _usage(usage: Payload | None) -> dict[str, Any] | None:
    if not usage:
        return None
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    thought = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens", 0)
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": usage["total_tokens"],
    }

"""Anthropic's Messages bodies in OpenAI's chat shape.

Invariant: text, images, tool calls and tool results all arrive; thinking blocks do not, since only
the model that wrote them may read them (the native body keeps them for it).
Source: platform.claude.com/docs/en/api/messages. This module does not know answers.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from turnout.core import InvalidRequest
from turnout.gateway.dialects.reading import mapping, objects

_SAME = ("temperature", "top_p")
# Anthropic's budgets in tokens, as the three efforts that most other providers know.
_EFFORTS = ((2048, "low"), (8192, "medium"))
# Blocks of nothing but texts, which other APIs take as one.
_READABLE = frozenset({"search_result", "tool_reference"})


def chat_body(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The chat body that ``payload`` amounts to. Raises InvalidRequest."""
    body: dict[str, Any] = {
        "messages": [*_system(payload.get("system")), *_messages(payload)],
        "max_tokens": _max_tokens(payload),
    }
    body.update({name: payload[name] for name in _SAME if payload.get(name) is not None})
    if payload.get("stop_sequences"):
        body["stop"] = payload["stop_sequences"]
    body.update(_tools(payload))
    body.update(_thinking(payload))
    user = mapping(payload.get("metadata"), "metadata").get("user_id")
    return {**body, "user": user} if isinstance(user, str) else body


def _max_tokens(payload: Mapping[str, Any]) -> int:
    cap = payload.get("max_tokens")
    if isinstance(cap, bool) or not isinstance(cap, int) or cap < 1:
        raise InvalidRequest(
            f"max_tokens is {cap!r}; use a whole number of at least 1", field="max_tokens"
        )
    return cap


def _system(system: object) -> Iterator[dict[str, Any]]:
    if isinstance(system, str) and system:
        yield {"role": "system", "content": system}
    elif isinstance(system, list):
        parts = [_part(block, "system") for block in system]
        if parts:
            yield {"role": "system", "content": parts}
    elif system is not None and not isinstance(system, str):
        raise InvalidRequest("system must be text or a list of text blocks", field="system")


def _messages(payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    messages = payload.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest("messages must be a list with at least one message", field="messages")
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, Mapping) or message.get("role") not in ("user", "assistant"):
            raise InvalidRequest(f"{where}.role must be user or assistant", field=f"{where}.role")
        yield from _message(message, where)


def _message(message: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        yield {"role": message["role"], "content": content}
        return
    if not isinstance(content, list):
        raise InvalidRequest(
            f"{where}.content must be text or a list of blocks", field=f"{where}.content"
        )
    blocks = [mapping(block, f"{where}.content") for block in content]
    yield from (_assistant(blocks) if message["role"] == "assistant" else _user(blocks, where))


def _assistant(blocks: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    text = "".join(str(b.get("text", "")) for b in blocks if b.get("type") == "text")
    calls = [
        {
            "id": b.get("id"),
            "type": "function",
            "function": {
                "name": b.get("name"),
                "arguments": orjson.dumps(b.get("input") or {}).decode(),
            },
        }
        for b in blocks
        if b.get("type") == "tool_use"
    ]
    said: dict[str, Any] = {"role": "assistant", "content": text or None}
    yield {**said, "tool_calls": calls} if calls else said


def _user(blocks: Sequence[Mapping[str, Any]], where: str) -> Iterator[dict[str, Any]]:
    """Tool results first, as chat wants them right after their calls, then the rest."""
    parts: list[dict[str, Any]] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            text, images = _tool_result(block, where)
            yield {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": text}
            parts += images
        else:
            parts.append(_part(block, where))
    if parts:
        only_text = len(parts) == 1 and parts[0]["type"] == "text"
        yield {"role": "user", "content": parts[0]["text"] if only_text else parts}


def _tool_result(block: Mapping[str, Any], where: str) -> tuple[str, list[dict[str, Any]]]:
    """The result's text, and what is no text, which chat takes from the user only."""
    content = block.get("content")
    if content is None or isinstance(content, str):
        return _flagged(block, content or ""), []
    parts = [_part(inner, where) for inner in content]
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    return _flagged(block, text), [part for part in parts if part["type"] != "text"]


def _flagged(block: Mapping[str, Any], text: str) -> str:
    return f"Error: {text}" if block.get("is_error") else text


def _part(value: object, where: str) -> dict[str, Any]:
    block = mapping(value, where)
    kind = block.get("type")
    if kind in _READABLE:
        return {"type": "text", "text": "\n".join(_texts(block))}
    source = mapping(block.get("source"), f"{where}.source")
    if kind == "text":
        if not isinstance(block.get("text"), str):
            raise InvalidRequest(f"{where} has a text block without text", field=where)
        return {"type": "text", "text": block["text"]}
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": _url(source)}}
    if kind == "document" and source.get("type") == "text":
        return {"type": "text", "text": str(source.get("data", ""))}
    if kind == "document" and source.get("type") == "content":
        return {"type": "text", "text": "\n".join(_texts(block))}
    if kind == "document":
        name = str(block.get("title") or "document.pdf")
        return {"type": "file", "file": {"filename": name, "file_data": _url(source)}}
    raise InvalidRequest(f"{where} has a block of type {kind!r}, which is not known", field=where)


def _texts(block: Mapping[str, Any]) -> Iterator[str]:
    """What a model reads of a block of texts: what it is called, where it is from, what it says."""
    source = block.get("source")
    yield from (block[n] for n in ("title", "tool_name") if isinstance(block.get(n), str))
    if isinstance(source, str):
        yield source
    content = source.get("content") if isinstance(source, Mapping) else block.get("content")
    if isinstance(content, str):
        yield content
    else:
        yield from (str(part.get("text", "")) for part in content or ())


def _url(source: Mapping[str, Any]) -> str:
    if source.get("type") == "base64":
        return f"data:{source.get('media_type')};base64,{source.get('data')}"
    return str(source.get("url", ""))


def _tools(payload: Mapping[str, Any]) -> dict[str, Any]:
    tools = objects(payload.get("tools"), "tools")
    if not tools:
        return {}
    found: dict[str, Any] = {"tools": [_tool(tool) for tool in tools]}
    choice = mapping(payload.get("tool_choice"), "tool_choice")
    named = {"type": "function", "function": {"name": choice.get("name")}}
    words = {"auto": "auto", "any": "required", "none": "none", "tool": named}
    if choice.get("type") in words:
        found["tool_choice"] = words[choice["type"]]
    if choice.get("disable_parallel_tool_use"):
        found["parallel_tool_calls"] = False
    return found


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    if tool.get("type", "custom") != "custom":
        # A tool of the provider's own: others refuse it by name rather than lose it in silence.
        return dict(tool)
    function = {"name": tool.get("name"), "parameters": tool.get("input_schema") or {}}
    if tool.get("description"):
        function["description"] = tool["description"]
    if tool.get("strict") is not None:
        function["strict"] = tool["strict"]
    return {"type": "function", "function": function}


def _thinking(payload: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    config = mapping(payload.get("output_config"), "output_config")
    thinking = mapping(payload.get("thinking"), "thinking")
    budget = thinking.get("budget_tokens")
    if config.get("effort"):
        found["reasoning_effort"] = config["effort"]
    elif thinking.get("type") == "enabled" and isinstance(budget, int):
        found["reasoning_effort"] = next((e for most, e in _EFFORTS if budget <= most), "high")
    wanted = mapping(config.get("format") or payload.get("output_format"), "output_config.format")
    if wanted.get("type") == "json_schema":
        schema = {"name": "answer", "schema": wanted.get("schema"), "strict": True}
        found["response_format"] = {"type": "json_schema", "json_schema": schema}
    return found

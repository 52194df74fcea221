"""Translates Anthropic's Messages bodies into OpenAI's chat shape.

Invariant: text, images, tool calls and tool results are all kept, and so are thoughts with the
signatures that say which model had them. Blocks, tools and file ids that only Anthropic's API knows
stay as they are: another provider then refuses the request, and nothing is lost unnoticed.
Source: platform.claude.com/docs/en/api/messages. This module does not know answers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from turnout.core import InvalidRequest
from turnout.core.effort import effort_of
from turnout.core.lost_fields import CACHE_MARK, objects_in
from turnout.core.request import parts_of
from turnout.gateway.dialects.messages_words import THREAD
from turnout.gateway.dialects.reading import mapping, objects, results_after_calls, tool_call
from turnout.gateway.dialects.tool_names import shortened

SAME = ("temperature", "top_p", "top_k", CACHE_MARK)
# Newer models take a system message anywhere in the conversation.
_ROLES = ("user", "assistant", "system")
# Blocks that become one text, and blocks with a source.
_TEXTS = frozenset({"search_result", "tool_reference"})
_MEDIA = frozenset({"image", "document", "container_upload"})

Block = Mapping[str, Any]
Part = dict[str, Any]


def chat_body(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The chat body for a Messages body. Raises InvalidRequest."""
    if payload.get(THREAD):
        raise InvalidRequest(
            "thread is not offered here; send the whole conversation", field=THREAD
        )
    body: dict[str, Any] = {
        "messages": results_after_calls([*_system(payload.get("system")), *_messages(payload)]),
        "max_tokens": _max_tokens(payload),
    }
    body.update({name: payload[name] for name in SAME if payload.get(name) is not None})
    stops = payload.get("stop_sequences")
    if isinstance(stops, str):
        raise InvalidRequest(
            f"stop_sequences is {stops!r}; use a list of texts", field="stop_sequences"
        )
    if stops:
        body["stop"] = stops
    body.update(_tools(payload))
    body.update(_thinking(payload))
    if payload.get("mcp_servers"):
        body["mcp_servers"] = payload["mcp_servers"]
    user = mapping(payload.get("metadata"), "metadata").get("user_id")
    return {**body, "user": user} if isinstance(user, str) else body


def _max_tokens(payload: Mapping[str, Any]) -> int:
    if "max_tokens" not in payload:
        raise InvalidRequest("max_tokens is missing; use a whole number", field="max_tokens")
    cap = payload["max_tokens"]
    if isinstance(cap, bool) or not isinstance(cap, int) or cap < 1:
        raise InvalidRequest(
            f"max_tokens is {cap!r}; use a whole number of at least 1", field="max_tokens"
        )
    return cap


def _system(system: object) -> Iterator[dict[str, Any]]:
    if isinstance(system, list):
        content: object = [part for block in system for part in _parts(block, "system")]
    elif system is None or isinstance(system, str):
        content = system
    else:
        raise InvalidRequest("system must be text or a list of text blocks", field="system")
    if content:
        yield {"role": "system", "content": content}


def _messages(payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    messages = payload.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest("messages must be a list with at least one message", field="messages")
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, Mapping):
            raise InvalidRequest(f"{where} must be an object", field=where)
        if message.get("role") not in _ROLES:
            raise InvalidRequest(
                f"{where}.role is {message.get('role')!r}; use one of {', '.join(_ROLES)}",
                field=f"{where}.role",
            )
        yield from _message(message, where)


def _message(message: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    content, role = message.get("content"), message["role"]
    if isinstance(content, str):
        yield {"role": role, "content": content}
        return
    if content is None and role == "system":
        return  # it only changes settings, which other APIs cannot do here
    if not isinstance(content, list):
        raise InvalidRequest(
            f"{where}.content must be text or a list of blocks", field=f"{where}.content"
        )
    blocks = [mapping(block, f"{where}.content") for block in content]
    yield from (_assistant(blocks) if role == "assistant" else _user(role, blocks, where))


def _assistant(blocks: Sequence[Block]) -> Iterator[dict[str, Any]]:
    texts = [b for b in blocks if b.get("type") == "text"]
    text = "".join(str(b.get("text", "")) for b in texts)
    calls = [
        tool_call(b.get("id"), shortened(b), orjson.dumps(b.get("input") or {}).decode())
        for b in blocks
        if b.get("type") == "tool_use"
    ]
    content = _text_content(text, [b.get(CACHE_MARK) for b in texts])
    answer: dict[str, Any] = {"role": "assistant", "content": content or None, **_thoughts(blocks)}
    if text or calls:
        yield {**answer, "tool_calls": calls} if calls else answer


def _text_content(text: str, marks: Sequence[object]) -> str | list[Part]:
    """The text; as a part with the last of the cache ``marks``, if there is one."""
    mark = next(filter(None, reversed(marks)), None)
    return [{"type": "text", "text": text, CACHE_MARK: mark}] if text and mark else text


def _thoughts(blocks: Sequence[Block]) -> dict[str, Any]:
    """The thoughts of an answer and their signatures; empty unless each thought has one."""
    found = [block for block in blocks if block.get("type") == "thinking"]
    if not found or not all(block.get("signature") for block in found):
        return {}
    return {
        "reasoning_content": "".join(str(block.get("thinking") or "") for block in found),
        "reasoning_signature": "".join(str(block["signature"]) for block in found),
    }


def _user(role: str, blocks: Sequence[Block], where: str) -> Iterator[dict[str, Any]]:
    """The tool results first, which chat requires right after their calls, then the rest."""
    parts: list[Part] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            text, images = _tool_result(block, where)
            yield {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": text}
            parts += images
        else:
            parts += _parts(block, where)
    if parts:
        only_text = len(parts) == 1 and parts[0].keys() == {"type", "text"}
        yield {"role": role, "content": parts[0]["text"] if only_text else parts}


def _tool_result(block: Block, where: str) -> tuple[str | list[Part], list[Part]]:
    """The result's text, and its other parts, which chat takes only from the user."""
    content = block.get("content")
    if content is None or isinstance(content, str):
        parts = [_text_part(content or "")]
    else:
        parts = [p for inner in objects(content, f"{where}.content") for p in _parts(inner, where)]
    texts = [part for part in parts if part["type"] == "text"]
    marks = [*(part.get(CACHE_MARK) for part in texts), block.get(CACHE_MARK)]
    text = "\n".join(part["text"] for part in texts)
    text = f"Error: {text}" if block.get("is_error") else text
    return _text_content(text, marks), [part for part in parts if part["type"] != "text"]


def _parts(value: object, where: str) -> list[Part]:
    """A block as chat's parts. The last one carries the block's cache mark, if it has one."""
    block = mapping(value, where)
    found = [*_translated(block, where)]
    if found and block.get(CACHE_MARK):
        found[-1] = {**found[-1], CACHE_MARK: block[CACHE_MARK]}
    return found


def _translated(block: Block, where: str) -> Iterable[Part]:
    kind = block.get("type")
    if not isinstance(kind, str) or not kind:
        raise InvalidRequest(f"{where} has a block without a type", field=where)
    if kind == "text":
        if not isinstance(block.get("text"), str):
            raise InvalidRequest(f"{where} has a text block without text", field=where)
        return [_text_part(block["text"])]
    if kind in _TEXTS:
        marks = [part.get(CACHE_MARK) for part in objects_in(block.get("content"))]
        return parts_of(_text_content("\n".join(_texts(block)), marks))
    return _media(block, where) if kind in _MEDIA else [dict(block)]


def _text_part(text: str) -> Part:
    return {"type": "text", "text": text}


def _texts(block: Block) -> Iterator[str]:
    """The title of a block of texts, where it is from, and what it says."""
    yield from _strings(block, "title", "tool_name", "source")
    content = block.get("content")
    if isinstance(content, str):
        yield content
    else:
        yield from (str(part.get("text", "")) for part in content or ())


def _media(block: Block, where: str) -> Iterator[Part]:
    """An image, a document (several parts if it mixes text and images) or an uploaded file."""
    source = mapping(block.get("source"), f"{where}.source")
    kind = source.get("type")
    if kind == "file" or block["type"] == "container_upload":
        yield {"type": "file", "file": {"file_id": (source or block).get("file_id")}}
    elif block["type"] == "image":
        yield {"type": "image_url", "image_url": {"url": _url(source, where)}}
    elif kind in ("text", "content"):
        yield from _document(block, source.get("data" if kind == "text" else kind), where)
    else:
        yield from map(_text_part, _strings(block, "context"))
        name = str(block.get("title") or "document.pdf")
        yield {"type": "file", "file": {"filename": name, "file_data": _url(source, where)}}


def _document(block: Block, content: object, where: str) -> Iterator[Part]:
    """The title and the context of a document, then its text or its blocks."""
    texts = _strings(block, "title", "context")
    if isinstance(content, str):
        yield _text_part("\n".join([*texts, content]))
        return
    if texts:
        yield _text_part("\n".join(texts))
    for inner in objects(content, f"{where}.source.content"):
        yield from _parts(inner, where)


def _strings(block: Block, *names: str) -> list[str]:
    return [block[name] for name in names if isinstance(block.get(name), str)]


def _url(source: Mapping[str, Any], where: str) -> str:
    if source.get("type") == "base64":
        return f"data:{source.get('media_type')};base64,{source.get('data')}"
    if source.get("type") == "url" and source.get("url"):
        return str(source["url"])
    raise InvalidRequest(
        f"{where} has a source of type {source.get('type')!r}; use base64, url or file",
        field=f"{where}.source",
    )


def _tools(payload: Mapping[str, Any]) -> dict[str, Any]:
    tools = objects(payload.get("tools"), "tools")
    if not tools:
        return {}
    found: dict[str, Any] = {"tools": [_tool(tool) for tool in tools]}
    choice = mapping(payload.get("tool_choice"), "tool_choice")
    named = {"type": "function", "function": {"name": shortened(choice)}}
    words = {"auto": "auto", "any": "required", "none": "none", "tool": named}
    if choice.get("type") in words:
        found["tool_choice"] = words[choice["type"]]
    elif choice:
        raise InvalidRequest(
            f"tool_choice.type is {choice.get('type')!r}; use one of {', '.join(words)}",
            field="tool_choice.type",
        )
    if choice.get("disable_parallel_tool_use"):
        found["parallel_tool_calls"] = False
    return found


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    if tool.get("type", "custom") != "custom":
        return dict(tool)
    function = {"name": shortened(tool), "parameters": tool.get("input_schema") or {}}
    if tool.get("description"):
        function["description"] = tool["description"]
    if tool.get("strict") is not None:
        function["strict"] = tool["strict"]
    marked = {CACHE_MARK: tool[CACHE_MARK]} if tool.get(CACHE_MARK) else {}
    return {"type": "function", "function": function, **marked}


def _thinking(payload: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    config = mapping(payload.get("output_config"), "output_config")
    thinking = mapping(payload.get("thinking"), "thinking")
    budget = thinking.get("budget_tokens")
    if effort := config.get("effort"):
        found["reasoning_effort"] = effort
    elif thinking.get("type") == "enabled" and isinstance(budget, int):
        found["reasoning_effort"] = effort_of(budget)
    wanted = mapping(config.get("format") or payload.get("output_format"), "output_config.format")
    if wanted.get("type") == "json_schema":
        schema = {"name": "answer", "schema": wanted.get("schema"), "strict": True}
        found["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif wanted:
        found["response_format"] = dict(wanted)  # of another type, which others refuse
    return found

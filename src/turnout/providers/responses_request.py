"""Translates chat bodies into OpenAI's Responses.

Invariant: text, images, files, tools, calls and results are all kept, and unknown fields pass. What
Responses cannot express (several choices, stops, a cap below its least, chat's own log
probabilities, sound and custom tools) raises, so that the next model is tried. Nothing is stored
at the provider.
Source: platform.openai.com/docs/api-reference/responses/create.
This module does not know answers or headers.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from turnout.core import InvalidRequest, Message, Request
from turnout.core.lost_fields import CACHE_MARK
from turnout.core.request import INSTRUCTION_ROLES, parts_of
from turnout.providers.chat_calls import (
    check_answer,
    check_fields,
    function_in,
    not_offered,
    read_call,
)
from turnout.providers.instructions import without_billing_message
from turnout.providers.interleaving import interleaved
from turnout.providers.responses_thoughts import ENCRYPTED, always_reasons, own_items
from turnout.providers.tool_ids import opaque_user, portable
from turnout.providers.tool_schemas import explicit

_API = "OpenAI's Responses"
# Fields of chat that Responses does not have, with the values that ask for nothing.
_MISSING: Mapping[str, tuple[object, ...]] = {
    "n": (1,),
    "stop": ([], ""),
    "logprobs": (False,),
    "logit_bias": ({},),
    "audio": (),
    "modalities": (["text"],),
    "prediction": (),
    "functions": ([],),
    "web_search_options": (),
}
# Fields of chat that only tune the answer and that Responses does not have either.
TUNING = ("seed", "frequency_penalty", "presence_penalty")
# Fields that are not copied: they have another form in Responses, or are not for the provider.
_NOT_COPIED = frozenset(
    {
        *_MISSING, *TUNING, "messages", "max_tokens", "max_completion_tokens", "tools",
        "tool_choice", "response_format", "verbosity", "reasoning_effort", "top_logprobs",
        "function_call", "stream", "stream_options", "store", "metadata", CACHE_MARK,
    }
)  # fmt: skip
# Marks the end of what may be cached, in a part of chat and in one of the input in Responses.
BREAKPOINT = "prompt_cache_breakpoint"
_LEAST = 16
_FORMAT = ("name", "schema", "strict", "description")
_FUNCTION = ("name", "description", "parameters")


def responses_body(request: Request, model: str, mark: str) -> dict[str, Any]:
    """The body for ``model``, without ``stream``. Raises InvalidRequest."""
    chat = request.body
    check_fields(chat, _MISSING, _API)
    _check_cap(chat)
    body = {name: value for name, value in chat.items() if name not in _NOT_COPIED}
    body |= {"model": model, "input": _input(request, mark), "store": False}
    if request.dialect == "messages":
        body.pop("top_k", None)  # not a field of Responses
    cap = request.max_output_tokens
    if cap is not None:
        body["max_output_tokens"] = cap
    if "user" in body:
        body["user"] = opaque_user(body["user"])
    body |= _tools(chat, tidy=request.dialect == "messages") | _text(chat)
    return body | _reasoning(chat.get("reasoning_effort"), model, request.left_out)


def _check_cap(chat: Mapping[str, Any]) -> None:
    for name in ("max_completion_tokens", "max_tokens"):
        cap = chat.get(name)
        if cap is not None and cap < _LEAST:
            raise InvalidRequest(f"{name} is {cap}; {_API} takes at least {_LEAST}", field=name)


def _reasoning(effort: object, model: str, left_out: frozenset[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if effort:
        asked = {"effort": effort} if effort == "none" else {"effort": effort, "summary": "auto"}
        found["reasoning"] = {name: asked[name] for name in asked if name not in left_out}
    if (effort or always_reasons(model)) and "include" not in left_out:
        found["include"] = [ENCRYPTED]
    return found


def _input(request: Request, mark: str) -> list[Mapping[str, Any]]:
    messages = request.messages
    if request.dialect == "messages" and messages[0]["role"] in INSTRUCTION_ROLES:
        messages = without_billing_message(messages)
    return [item for message in messages for item in _items(message, mark)]


def _items(message: Message, mark: str) -> Iterator[Mapping[str, Any]]:
    role, content = message["role"], message.get("content")
    if role == "tool":
        yield {
            "type": "function_call_output",
            "call_id": portable(str(message.get("tool_call_id") or "")),
            "output": _content(content, role),
        }
        return
    if role == "function":
        raise not_offered("function_call", _API, "messages")
    check_answer(message, _API)
    if role == "assistant":
        yield from _answer(message, mark)
    else:
        yield {"type": "message", "role": role, "content": _content(content, role)}
    for call in message.get("tool_calls") or ():
        yield _call(call)


def _answer(message: Message, mark: str) -> Iterator[Mapping[str, Any]]:
    """The thoughts of this model and the text, in the order in which it wrote them."""
    thoughts = str(message.get("reasoning_content") or "")
    own = list(own_items(thoughts, message.get("reasoning_signature"), mark))
    content = _with_refusal(message)
    if not any(at for at, _ in own):
        yield from (item for _, item in own)
        if content:
            yield _message(content)
        return
    parts = interleaved(parts_of(content), own)
    for is_thought, group in groupby(parts, lambda part: part["type"] == "reasoning"):
        run = list(group)
        yield from run if is_thought else [_message(run)]


def _message(content: object) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": _content(content, "assistant")}


def _with_refusal(message: Message) -> Any:
    """An assistant's content, together with its refusal, which chat has in another field."""
    content, refusal = message.get("content"), message.get("refusal")
    if not isinstance(refusal, str) or not refusal or refusal == content:
        return content
    return [*parts_of(content), {"type": "refusal", "refusal": refusal}]


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    ident, function = read_call(call, _API)
    return {
        "type": "function_call",
        "call_id": ident,
        "name": function.get("name"),
        "arguments": function.get("arguments") or "{}",
    }


def _content(content: object, role: str) -> Any:
    if not isinstance(content, list | tuple):
        return content or ""
    return [_part(part, "output_text" if role == "assistant" else "input_text") for part in content]


def _part(part: Mapping[str, Any], text: str) -> dict[str, Any]:
    found = _translated(part, text)
    if part.get(BREAKPOINT) and found["type"].startswith("input_"):
        found[BREAKPOINT] = part[BREAKPOINT]
    return found


def _translated(part: Mapping[str, Any], text: str) -> dict[str, Any]:
    kind = part.get("type")
    if kind in ("text", "input_text", "output_text"):
        return {"type": text, "text": part.get("text") or ""}
    if kind == "refusal":
        return {"type": kind, "refusal": part.get("refusal") or ""}
    if kind == "image_url":
        image = part.get("image_url")
        image = image if isinstance(image, Mapping) else {"url": image}
        return {
            "type": "input_image",
            "image_url": image.get("url"),
            "detail": image.get("detail") or "auto",
        }
    if kind == "file":
        return {"type": "input_file", **_file(part["file"])}
    if kind == "input_audio":
        return dict(part)
    raise not_offered(f"a part of type {kind!r}", _API, "messages")


def _file(file: Mapping[str, Any]) -> Mapping[str, Any]:
    """The file; a URL is in a field of its own in Responses."""
    data = file.get("file_data")
    if isinstance(data, str) and data.startswith(("https://", "http://")):
        return {"file_url": data}
    return file


def _tools(chat: Mapping[str, Any], *, tidy: bool) -> dict[str, Any]:
    tools = chat.get("tools")
    if not tools:
        return {}
    found: dict[str, Any] = {"tools": [_tool(tool, tidy=tidy) for tool in tools]}
    if chat.get("tool_choice") is not None:
        found["tool_choice"] = _choice(chat["tool_choice"])
    return found


def _tool(tool: Mapping[str, Any], *, tidy: bool) -> dict[str, Any]:
    function = function_in(tool, _API)
    if function is None:
        return dict(tool)
    fields = {name: function[name] for name in _FUNCTION if function.get(name) is not None}
    schema = fields.get("parameters") or {"type": "object", "properties": {}}
    fields["parameters"] = explicit(schema) if tidy else schema
    # The default is false in chat, but true in Responses.
    return {"type": "function", **fields, "strict": bool(function.get("strict"))}


def _choice(choice: object) -> Any:
    """``tool_choice``; its names are one level higher in Responses."""
    if not isinstance(choice, Mapping):
        return choice
    if choice.get("type") == "allowed_tools" and "allowed_tools" in choice:
        allowed = choice["allowed_tools"]
        tools = [_choice(tool) for tool in allowed["tools"]]
        return {"type": "allowed_tools", "mode": allowed["mode"], "tools": tools}
    function = choice.get("function")
    if isinstance(function, Mapping):
        return {"type": "function", "name": function.get("name")}
    return dict(choice)


def _text(chat: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    wanted = chat.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        schema = wanted.get("json_schema") or {}
        fields = {name: schema[name] for name in _FORMAT if schema.get(name) is not None}
        found["format"] = {"type": "json_schema", "name": "answer", **fields}
    elif wanted.get("type"):
        found["format"] = dict(wanted)
    if chat.get("verbosity"):
        found["verbosity"] = chat["verbosity"]
    return {"text": found} if found else {}

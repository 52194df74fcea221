"""Chat bodies in the shape of OpenAI's Responses.

Invariant: text, images, files, tools, calls and results all arrive, and unknown fields pass; what
Responses has no way to say (several choices, stops, a cap below its least, chat's own log
probabilities, sound and custom tools) raises, so that another model can be tried. Nothing is
stored at the provider.
Source: platform.openai.com/docs/api-reference/responses/create.
This module does not know answers or headers.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from turnout.core import InvalidRequest, Message, Request
from turnout.core.request import INSTRUCTING, parts_of
from turnout.core.unsaid import CACHE_MARK
from turnout.providers.chat_calls import check_answer, read_call
from turnout.providers.instructions import opened
from turnout.providers.interleaving import interleaved
from turnout.providers.responses_thoughts import ENCRYPTED, always_reasons, own_items
from turnout.providers.tool_ids import opaque_user, portable
from turnout.providers.tool_schemas import explicit

# What a chat body may ask that Responses has no word for, with what asks for nothing.
_UNSAID: Mapping[str, tuple[object, ...]] = {
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
# Said in other words, or none of the provider's concern.
_OTHERWISE = frozenset(
    {
        *_UNSAID, "messages", "max_tokens", "max_completion_tokens", "tools", "tool_choice",
        "response_format", "verbosity", "reasoning_effort", "top_logprobs", "function_call",
        "stream", "stream_options", "store", "metadata", CACHE_MARK,
    }
)  # fmt: skip
_LEAST = 16
_FORMAT = ("name", "schema", "strict", "description")
_FUNCTION = ("name", "description", "parameters")


def responses_body(request: Request, model: str, mark: str) -> dict[str, Any]:
    """The body for ``model``, without ``stream``. Raises InvalidRequest."""
    chat = request.body
    _check(chat)
    body = {name: value for name, value in chat.items() if name not in _OTHERWISE}
    body |= {"model": model, "input": _input(request, mark), "store": False}
    if request.dialect == "messages":
        body.pop("top_k", None)  # no word of this API's
    cap = request.max_output_tokens
    if cap is not None:
        body["max_output_tokens"] = cap
    if "user" in body:
        body["user"] = opaque_user(body["user"])
    body |= _tools(chat, tidy=request.dialect == "messages") | _text(chat)
    return body | _reasoning(chat.get("reasoning_effort"), model, request.left_out)


def _check(chat: Mapping[str, Any]) -> None:
    for name, plain in _UNSAID.items():
        if chat.get(name) is not None and chat[name] not in plain:
            raise InvalidRequest(f"{name} is not offered by OpenAI's Responses", field=name)
    for name in ("max_completion_tokens", "max_tokens"):
        cap = chat.get(name)
        if cap is not None and cap < _LEAST:
            raise InvalidRequest(
                f"{name} is {cap}; OpenAI's Responses takes at least {_LEAST}", field=name
            )


def _reasoning(effort: object, model: str, left_out: frozenset[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if effort:
        told = {"effort": effort} if effort == "none" else {"effort": effort, "summary": "auto"}
        told = {name: value for name, value in told.items() if name not in left_out}
        found["reasoning"] = told
    if (effort or always_reasons(model)) and "include" not in left_out:
        found["include"] = [ENCRYPTED]
    return found


def _input(request: Request, mark: str) -> list[Mapping[str, Any]]:
    messages = request.messages
    if request.dialect == "messages" and messages[0]["role"] in INSTRUCTING:
        messages = opened(messages)
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
        raise InvalidRequest("function_call is not offered by OpenAI's Responses", field="messages")
    check_answer(message, "OpenAI's Responses")
    if role == "assistant":
        yield from _answer(message, mark)
    else:
        yield {"type": "message", "role": role, "content": _content(content, role)}
    for call in message.get("tool_calls") or ():
        yield _call(call)


def _answer(message: Message, mark: str) -> Iterator[Mapping[str, Any]]:
    """What the model thought and said, in the order in which it did."""
    thoughts = str(message.get("reasoning_content") or "")
    own = list(own_items(thoughts, message.get("reasoning_signature"), mark))
    content = _said(message)
    if not any(at for at, _ in own):
        yield from (item for _, item in own)
        if content:
            yield _message(content)
        return
    said = interleaved(parts_of(content), own)
    for thinks, group in groupby(said, lambda part: part["type"] == "reasoning"):
        run = list(group)
        yield from run if thinks else [_message(run)]


def _message(content: object) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": _content(content, "assistant")}


def _said(message: Message) -> Any:
    """An assistant's content, with the refusal that chat keeps beside it."""
    content, refusal = message.get("content"), message.get("refusal")
    if not isinstance(refusal, str) or not refusal or refusal == content:
        return content
    return [*parts_of(content), {"type": "refusal", "refusal": refusal}]


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    ident, function = read_call(call, "OpenAI's Responses")
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
    raise InvalidRequest(
        f"a part of type {kind!r} is not taken by OpenAI's Responses", field="messages"
    )


def _file(file: Mapping[str, Any]) -> Mapping[str, Any]:
    """The file; where it lies elsewhere, its address has a word of its own here."""
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
    function = tool.get("function")
    if tool.get("type") == "custom" and "custom" in tool:
        raise InvalidRequest("chat's custom tools are not offered by Responses", field="tools")
    if not isinstance(function, Mapping):
        return dict(tool)
    told = {name: function[name] for name in _FUNCTION if function.get(name) is not None}
    schema = told.get("parameters") or {"type": "object", "properties": {}}
    told["parameters"] = explicit(schema) if tidy else schema
    # What chat leaves out is false there and true here.
    return {"type": "function", **told, "strict": bool(function.get("strict"))}


def _choice(choice: object) -> Any:
    """``tool_choice``, whose names stand a level higher here."""
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
        told = {name: schema[name] for name in _FORMAT if schema.get(name) is not None}
        found["format"] = {"type": "json_schema", "name": "answer", **told}
    elif wanted.get("type"):
        found["format"] = dict(wanted)
    if chat.get("verbosity"):
        found["verbosity"] = chat["verbosity"]
    return {"text": found} if found else {}

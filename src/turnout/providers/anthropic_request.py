"""Translates chat bodies into Anthropic's Messages.

Invariant: text, images, files, tools, calls and results are all kept. What Messages cannot express
(several choices, log probabilities, sound, OpenAI's files and old functions) raises, so that the
next model is tried.
Source: platform.claude.com/docs/en/api/messages. This module does not know answers or headers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from turnout.catalog import ModelCard, default_max_tokens
from turnout.core import InvalidRequest, Message, Request
from turnout.core.data_urls import base64_of_data_url, text_of_data_url
from turnout.core.effort import BUDGETS, THINKING, effort_of
from turnout.core.lost_fields import CACHE_MARK
from turnout.core.request import INSTRUCTION_ROLES
from turnout.providers.anthropic_native import THOUGHTS, stripped_at_end
from turnout.providers.anthropic_schema import decodable, of_a_tool
from turnout.providers.anthropic_thinking import thinking, with_config
from turnout.providers.chat_calls import (
    check_answer,
    check_fields,
    function_in,
    not_offered,
    read_call,
)
from turnout.providers.instructions import placed, takes_anywhere
from turnout.providers.interleaving import interleaved
from turnout.providers.signatures import Thought, split_thoughts
from turnout.providers.tool_ids import portable

_API = "Anthropic's API"
_CHOICES = {"auto": {"type": "auto"}, "required": {"type": "any"}, "none": {"type": "none"}}
_PLAIN_JSON = "Answer with one JSON object alone, without Markdown around it."
# Fields of chat that Messages does not have, with the values that ask for nothing.
_MISSING: Mapping[str, tuple[object, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "audio": (),
    "modalities": (["text"],),
    "functions": ([],),
    "web_search_options": (),
}
# Newer models take only one of these two. Their default is 1.
_SAMPLING = ("temperature", "top_p")
_TOP_K = "top_k"  # not a field of OpenAI's, but clients of chat send it
_USUAL = _HOTTEST = 1
# Media types by other names than the API's.
_MEDIA_TYPES = {"image/jpg": "image/jpeg", "application/x-pdf": "application/pdf"}
_RAW = "_raw"  # holds arguments of a call that are not JSON


def messages_body(request: Request, card: ModelCard, mark: str) -> dict[str, Any]:
    """The Messages body, without ``stream``. Raises InvalidRequest."""
    chat = request.body
    check_fields(chat, _MISSING, _API)
    body: dict[str, Any] = {
        "model": card.id,
        "max_tokens": request.max_output_tokens or default_max_tokens(card),
        **_conversation(request, card.id, mark),
        **_sampling(chat),
        **_stops(chat.get("stop")),
        **_tools(chat),
        **_format(chat),
    }
    # OpenAI's newer name for the same field.
    user = chat.get("user") or chat.get("safety_identifier")
    if isinstance(user, str):
        body["metadata"] = {"user_id": user}
    if chat.get(CACHE_MARK):
        body[CACHE_MARK] = chat[CACHE_MARK]
    _think(body, chat)
    return body


def _conversation(request: Request, model: str, mark: str) -> dict[str, Any]:
    """``messages``, and ``system`` with the instructions before them."""
    messages = request.messages
    first = next((i for i, m in enumerate(messages) if not _instructs(m)), len(messages))
    turns = _merged(_turns(messages[first:], mark))
    turns = stripped_at_end(_merged(placed(turns, anywhere=takes_anywhere(model))))
    system = [
        part
        for message in messages[:first]
        for part in _with_mark(message, _parts(message.get("content")))
    ]
    if (request.body.get("response_format") or {}).get("type") == "json_object":
        system.append({"type": "text", "text": _PLAIN_JSON})
    if not turns:
        # Messages needs a user's turn: instructions alone become that turn.
        return {"messages": [{"role": "user", "content": system}]}
    return {"messages": turns, "system": system} if system else {"messages": turns}


def _sampling(chat: Mapping[str, Any]) -> dict[str, Any]:
    """One of temperature and ``top_p``, the first that is not at its default; and ``top_k``."""
    given = {name: chat[name] for name in _SAMPLING if chat.get(name) is not None}
    heat = given.get("temperature")
    if isinstance(heat, int | float) and heat > _HOTTEST:
        raise InvalidRequest(
            f"temperature is {heat}; {_API} takes at most {_HOTTEST}", field="temperature"
        )
    unusual = {name: value for name, value in given.items() if value != _USUAL} or given
    top_k = {_TOP_K: chat[_TOP_K]} if chat.get(_TOP_K) is not None else {}
    return dict(list(unusual.items())[:1]) | top_k


def _stops(stop: Any) -> dict[str, Any]:
    """``stop_sequences``. A blank one raises: the API refuses it, and stops are never left out."""
    stops = [stop] if isinstance(stop, str) else stop
    if not stops:
        return {}
    blank = [one for one in stops if isinstance(one, str) and not one.strip()]
    if blank:
        raise InvalidRequest(
            f"stop has {blank[0]!r}; {_API} takes no blank text, use another one", field="stop"
        )
    return {"stop_sequences": stops}


def _turns(messages: Sequence[Message], mark: str) -> Iterator[dict[str, Any]]:
    for message in messages:
        if message["role"] == "assistant":
            yield {"role": "assistant", "content": _with_mark(message, _answer(message, mark))}
        elif message["role"] in ("tool", "function"):
            yield {"role": "user", "content": _with_mark(message, [_result(message)])}
        else:
            role = "system" if _instructs(message) else "user"
            yield {"role": role, "content": _with_mark(message, _parts(message.get("content")))}


def _instructs(message: Message) -> bool:
    return message["role"] in INSTRUCTION_ROLES


def _with_mark(message: Message, blocks: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The blocks of a message. The last one carries the message's cache mark, if it has one."""
    found = list(blocks)
    if found and message.get(CACHE_MARK):
        found[-1] = {**found[-1], CACHE_MARK: message[CACHE_MARK]}
    return found


def _merged(turns: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbours of one role as one message; the results of parallel calls must be in one."""
    found: list[dict[str, Any]] = []
    for turn in turns:
        if not turn["content"]:
            continue
        if found and found[-1]["role"] == turn["role"]:
            found[-1]["content"] += turn["content"]
        else:
            found.append(turn)
    return found


def _answer(message: Message, mark: str) -> Iterator[Mapping[str, Any]]:
    """The thoughts of this model, the text and the calls, in the order in which it wrote them."""
    check_answer(message, _API)
    thoughts = message.get("reasoning_content") or ""
    own = split_thoughts(thoughts, message.get("reasoning_signature"), mark)
    parts = _parts(message.get("content"))
    yield from interleaved(parts, [(one.at, _thought_block(one)) for one in own])
    yield from _parts(message.get("refusal"))
    for call in message.get("tool_calls") or ():
        ident, function = read_call(call, _API)
        yield {
            "type": "tool_use",
            "id": ident,
            "name": function.get("name"),
            "input": _input(function.get("arguments")),
        }


def _thought_block(thought: Thought) -> dict[str, Any]:
    if thought.redacted:
        return {"type": "redacted_thinking", "data": thought.signature}
    return {"type": "thinking", "thinking": thought.text, "signature": thought.signature}


def _input(arguments: object) -> Any:
    if isinstance(arguments, Mapping):
        return arguments
    text = str(arguments or "{}")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        # Such as arguments that the answer's cap cut short.
        return {_RAW: text}
    return value if isinstance(value, dict) else {"value": value}


def _result(message: Message) -> dict[str, Any]:
    content = message.get("content")
    return {
        "type": "tool_result",
        "tool_use_id": portable(str(message.get("tool_call_id") or message.get("name") or "")),
        "content": content if isinstance(content, str) else list(_parts(content)),
    }


def _parts(content: object) -> Iterator[dict[str, Any]]:
    """The blocks of a message's content, without blank texts, which the API refuses."""
    if isinstance(content, str):
        if content.strip():
            yield {"type": "text", "text": content}
        return
    for part in content if isinstance(content, list | tuple) else ():
        block = _part(part)
        if block["type"] != "text" or block["text"].strip():
            cached = part.get(CACHE_MARK)
            yield {**block, CACHE_MARK: cached} if cached else block


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind in ("text", "input_text", "output_text", "refusal"):
        return {"type": "text", "text": part.get("text") or part.get("refusal") or ""}
    if kind == "image_url":
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, Mapping) else image
        return {"type": "image", "source": _source(url, "image_url")}
    if kind == "file":
        file = part["file"]
        found = {"type": "document", "source": _source(file.get("file_data"), "file_data")}
        name = file.get("filename")
        return {**found, "title": name} if isinstance(name, str) and name else found
    raise not_offered(f"a part of type {kind!r}", _API, "messages")


def _source(url: object, name: str) -> dict[str, str]:
    if not isinstance(url, str) or not url:
        raise InvalidRequest(f"a part has no {name}; send the data itself", field="messages")
    text = text_of_data_url(url)
    if text is not None:
        return {"type": "text", "media_type": "text/plain", "data": text}
    held = base64_of_data_url(url)
    if held is None:
        return {"type": "url", "url": url}
    media_type, data = held
    return {
        "type": "base64",
        "media_type": _MEDIA_TYPES.get(media_type, media_type),
        "data": data,
    }


def _tools(chat: Mapping[str, Any]) -> dict[str, Any]:
    tools = chat.get("tools")
    if not tools:
        return {}
    chosen, tools = _choice(chat.get("tool_choice") or "auto", tools)
    if chat.get("parallel_tool_calls") is False and chosen["type"] != "none":
        chosen["disable_parallel_tool_use"] = True
    return {"tools": [_tool(tool) for tool in tools], "tool_choice": chosen}


def _choice(choice: object, tools: Sequence[Any]) -> tuple[dict[str, Any], Sequence[Any]]:
    """``tool_choice``, and the tools to show: with ``allowed_tools`` only those."""
    if isinstance(choice, str) and choice in _CHOICES:
        return dict(_CHOICES[choice]), tools
    if isinstance(choice, Mapping) and choice.get("type") == "function":
        return {"type": "tool", "name": choice["function"]["name"]}, tools
    if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
        allowed = choice["allowed_tools"]
        names = {tool["function"]["name"] for tool in allowed["tools"]}
        shown = [tool for tool in tools if tool["function"]["name"] in names]
        return dict(_CHOICES[allowed["mode"]]), shown
    raise InvalidRequest(
        f"tool_choice is {choice!r}; {_API} takes auto, none, required, a function or "
        "allowed_tools",
        field="tool_choice",
    )


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = function_in(tool, _API)
    if function is None:
        return dict(tool)
    schema = of_a_tool(function.get("parameters") or {"properties": {}})
    found = {
        "name": function.get("name"),
        "input_schema": decodable(schema) if function.get("strict") else schema,
    }
    for name in ("description", "strict", CACHE_MARK):
        if function.get(name) is not None:
            found[name] = function[name]
    return {**found, CACHE_MARK: tool[CACHE_MARK]} if tool.get(CACHE_MARK) else found


def _format(chat: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of the answer; for ``json_object`` the instructions ask instead."""
    wanted = chat.get("response_format") or {"type": "text"}
    kind = wanted.get("type")
    if kind in ("text", "json_object"):
        return {}
    if kind != "json_schema":
        raise not_offered(f"response_format of type {kind!r}", _API, "response_format")
    asked = wanted.get("json_schema") or {}
    schema = decodable(asked.get("schema"))
    if asked.get("description") and isinstance(schema, dict):
        schema = {"description": asked["description"], **schema}
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


def _effort(chat: Mapping[str, Any], asked: Mapping[str, Any]) -> object:
    """The effort; from Anthropic's ``thinking`` if the chat body has that field instead."""
    if chat.get("reasoning_effort") or asked.get("type") not in THINKING:
        return chat.get("reasoning_effort")
    budget = asked.get("budget_tokens")
    return effort_of(budget if isinstance(budget, int) else BUDGETS["high"])


def _think(body: dict[str, Any], chat: Mapping[str, Any]) -> None:
    """Turns thinking on, if the answer's cap leaves room and the API allows it here."""
    asked = chat.get("thinking") or {}
    fields = thinking(body["model"], str(_effort(chat, asked)), body["max_tokens"], asked)
    forced = (body.get("tool_choice") or {}).get("type") in ("any", "tool")
    if not fields or forced:
        return
    if fields["thinking"]["type"] == "enabled" and _in_a_thoughtless_loop(body):
        return
    body.update(with_config(body.get("output_config") or {}, fields))
    for name in (*_SAMPLING, _TOP_K):
        # With thinking the API takes only the defaults.
        body.pop(name, None)


def _in_a_thoughtless_loop(body: Mapping[str, Any]) -> bool:
    """Whether the last turn holds results of calls that the model made without a thought."""
    answers = [turn["content"] for turn in body["messages"] if turn["role"] == "assistant"]
    last = body["messages"][-1]["content"]
    returns = any(block["type"] == "tool_result" for block in last)
    return returns and bool(answers) and answers[-1][0]["type"] not in THOUGHTS

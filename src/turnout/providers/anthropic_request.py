"""Chat bodies in the shape of Anthropic's Messages.

Invariant: text, images, files, tools, calls and results all arrive; what Messages has no way to say
(several choices, log probabilities, sound, OpenAI's own files and old functions) raises, so that
another model can be tried.
Source: platform.claude.com/docs/en/api/messages. This module does not know answers or headers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from turnout.catalog import ModelCard, usual_cap
from turnout.core import InvalidRequest, Message, Request
from turnout.core.data_urls import text_in
from turnout.core.effort import BUDGETS, effort_of
from turnout.core.request import INSTRUCTING
from turnout.core.unsaid import CACHE_MARK
from turnout.providers.anthropic_native import THOUGHTS, ended_in_text
from turnout.providers.anthropic_schema import decodable, of_a_tool
from turnout.providers.anthropic_thinking import beside, thinking
from turnout.providers.chat_calls import check_answer, read_call
from turnout.providers.instructions import placed, takes_anywhere
from turnout.providers.interleaving import interleaved
from turnout.providers.signatures import Thought, apart
from turnout.providers.tool_ids import portable

_CHOICES = {"auto": {"type": "auto"}, "required": {"type": "any"}, "none": {"type": "none"}}
_PLAIN_JSON = "Answer with one JSON object alone, without Markdown around it."
# What a chat body may ask that Messages has no word for, with the value that asks for nothing.
_UNSAID: tuple[tuple[str, object], ...] = (
    ("n", 1),
    ("logprobs", False),
    ("audio", None),
    ("modalities", ["text"]),
    ("functions", []),
    ("web_search_options", None),
)
# Newer models take one of them; each is at its default with 1.
_SAMPLING = ("temperature", "top_p")
_ITS_OWN = "top_k"  # no word of OpenAI's, but clients send it beside theirs
_USUAL = _HOTTEST = 1
_RAW = "_raw"  # where a call's arguments stay that are no JSON


def messages_body(request: Request, card: ModelCard, mark: str) -> dict[str, Any]:
    """The Messages body, without ``stream``. Raises InvalidRequest."""
    chat = request.body
    _check(chat)
    first = next((i for i, m in enumerate(request.messages) if not _instructs(m)), None)
    late = _merged(_turns(request.messages[first:] if first is not None else (), mark))
    turns = ended_in_text(_merged(placed(late, anywhere=takes_anywhere(card.id))))
    system = [
        part
        for message in request.messages[:first]
        for part in _ended(message, _parts(message.get("content")))
    ]
    if (chat.get("response_format") or {}).get("type") == "json_object":
        system.append({"type": "text", "text": _PLAIN_JSON})
    if not turns:
        # Messages wants a turn of the user's: where there are only instructions, they are it.
        turns, system = [{"role": "user", "content": system}], []
    body: dict[str, Any] = {
        "model": card.id,
        "max_tokens": request.max_output_tokens or usual_cap(card),
        "messages": turns,
    }
    if system:
        body["system"] = system
    body.update(_sampling(chat))
    body.update(_stops(chat.get("stop")))
    # OpenAI's newer word for the same.
    user = chat.get("user") or chat.get("safety_identifier")
    if isinstance(user, str):
        body["metadata"] = {"user_id": user}
    if chat.get(CACHE_MARK):
        body[CACHE_MARK] = chat[CACHE_MARK]
    body.update(_tools(chat))
    body.update(_format(chat))
    _think(body, _effort(chat))
    return body


def _check(chat: Mapping[str, Any]) -> None:
    for name, plain in _UNSAID:
        if chat.get(name) not in (None, plain):
            raise InvalidRequest(f"{name} is not offered by Anthropic's API", field=name)


def _sampling(chat: Mapping[str, Any]) -> dict[str, Any]:
    """The temperature, or else ``top_p``; what is at its default gives way to what is not."""
    given = {name: chat[name] for name in _SAMPLING if chat.get(name) is not None}
    heat = given.get("temperature")
    if isinstance(heat, int | float) and heat > _HOTTEST:
        raise InvalidRequest(
            f"temperature is {heat}; Anthropic's API takes at most {_HOTTEST}", field="temperature"
        )
    telling = {name: value for name, value in given.items() if value != _USUAL} or given
    narrow = {_ITS_OWN: chat[_ITS_OWN]} if chat.get(_ITS_OWN) is not None else {}
    return dict(list(telling.items())[:1]) | narrow


def _stops(stop: Any) -> dict[str, Any]:
    """``stop_sequences``; one that is blank is refused there, and stops are never left out."""
    stops = [stop] if isinstance(stop, str) else stop
    if not stops:
        return {}
    blank = [one for one in stops if isinstance(one, str) and not one.strip()]
    if blank:
        raise InvalidRequest(
            f"stop has {blank[0]!r}; Anthropic's API takes none that is blank", field="stop"
        )
    return {"stop_sequences": stops}


def _turns(messages: Sequence[Message], mark: str) -> Iterator[dict[str, Any]]:
    for message in messages:
        if message["role"] == "assistant":
            yield {"role": "assistant", "content": _ended(message, _said(message, mark))}
        elif message["role"] in ("tool", "function"):
            yield {"role": "user", "content": _ended(message, [_result(message)])}
        else:
            role = "system" if _instructs(message) else "user"
            yield {"role": role, "content": _ended(message, _parts(message.get("content")))}


def _instructs(message: Message) -> bool:
    return message["role"] in INSTRUCTING


def _ended(message: Message, blocks: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The blocks, the last of them marked where a cache may end after the message."""
    found = list(blocks)
    if found and message.get(CACHE_MARK):
        found[-1] = {**found[-1], CACHE_MARK: message[CACHE_MARK]}
    return found


def _merged(turns: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbours of one role as one message: all results of parallel calls belong together."""
    found: list[dict[str, Any]] = []
    for turn in turns:
        if not turn["content"]:
            continue
        if found and found[-1]["role"] == turn["role"]:
            found[-1]["content"] += turn["content"]
        else:
            found.append(turn)
    return found


def _said(message: Message, mark: str) -> Iterator[Mapping[str, Any]]:
    thoughts = message.get("reasoning_content") or ""
    own = apart(thoughts, message.get("reasoning_signature"), mark)
    said = _parts(message.get("content"))
    yield from interleaved(said, [(one.at, _thinking(one)) for one in own])
    yield from _parts(message.get("refusal"))
    check_answer(message, "Anthropic's API")
    for call in message.get("tool_calls") or ():
        ident, function = read_call(call, "Anthropic's API")
        yield {
            "type": "tool_use",
            "id": ident,
            "name": function.get("name"),
            "input": _input(function.get("arguments")),
        }


def _thinking(thought: Thought) -> dict[str, Any]:
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
        # Cut short, as by an answer's cap: told as it is, since the history cannot be mended.
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
    """The blocks of a message's content; blank texts, which are refused, are left out."""
    if isinstance(content, str):
        if content.strip():
            yield {"type": "text", "text": content}
        return
    for part in content if isinstance(content, list | tuple) else ():
        block = _part(part)
        if block["type"] != "text" or block["text"].strip():
            # Where a cache may end is said in the same words.
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
    raise InvalidRequest(
        f"a part of type {kind!r} is not taken by Anthropic's API", field="messages"
    )


def _source(url: object, name: str) -> dict[str, str]:
    if not isinstance(url, str) or not url:
        raise InvalidRequest(f"a part has no {name}; send the data itself", field="messages")
    text = text_in(url)
    if text is not None:
        return {"type": "text", "media_type": "text/plain", "data": text}
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:"):
        media = head.removeprefix("data:").removesuffix(";base64")
        return {"type": "base64", "media_type": media, "data": data}
    return {"type": "url", "url": url}


def _tools(chat: Mapping[str, Any]) -> dict[str, Any]:
    tools = chat.get("tools")
    if not tools:
        return {}
    chosen, tools = _choice(chat.get("tool_choice") or "auto", tools)
    if chat.get("parallel_tool_calls") is False and chosen["type"] != "none":
        chosen["disable_parallel_tool_use"] = True
    return {"tools": [_tool(tool) for tool in tools], "tool_choice": chosen}


def _choice(choice: object, tools: Sequence[Any]) -> tuple[dict[str, Any], Sequence[Any]]:
    """``tool_choice``, and the tools that it leaves: those allowed are the only ones shown."""
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
        f"tool_choice is {choice!r}, for which Anthropic's API has no word", field="tool_choice"
    )


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = tool.get("function")
    if tool.get("type") == "custom" and "custom" in tool:
        raise InvalidRequest("custom tools are not offered by Anthropic's API", field="tools")
    if not isinstance(function, Mapping):
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
    """A JSON schema; plain ``json_object`` has no counterpart, and is asked for in words."""
    wanted = chat.get("response_format") or {}
    if wanted.get("type") != "json_schema":
        return {}
    told = wanted.get("json_schema") or {}
    schema = decodable(told.get("schema"))
    if told.get("description") and isinstance(schema, dict):
        schema = {"description": told["description"], **schema}
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


def _effort(chat: Mapping[str, Any]) -> object:
    """How hard to think; many clients of chat completions say it as Anthropic's API does."""
    asked = chat.get("thinking")
    if chat.get("reasoning_effort") or not isinstance(asked, Mapping):
        return chat.get("reasoning_effort")
    budget = asked.get("budget_tokens")
    usual = budget if isinstance(budget, int) else BUDGETS["high"]
    return effort_of(usual) if asked.get("type") == "enabled" else None


def _think(body: dict[str, Any], effort: object) -> None:
    """Turns thinking on where the answer's cap leaves room and nothing else speaks against it."""
    told = thinking(body["model"], str(effort), body["max_tokens"])
    forced = (body.get("tool_choice") or {}).get("type") in ("any", "tool")
    if not told or forced:
        return
    if told["thinking"]["type"] == "enabled" and _in_a_thoughtless_loop(body):
        return
    body.update(beside(body.get("output_config") or {}, told))
    for name in (*_SAMPLING, _ITS_OWN):
        # Thinking takes none but its own.
        body.pop(name, None)


def _in_a_thoughtless_loop(body: Mapping[str, Any]) -> bool:
    """Whether the tools whose results these are were called without a thought before."""
    answers = [turn["content"] for turn in body["messages"] if turn["role"] == "assistant"]
    last = body["messages"][-1]["content"]
    returns = any(block["type"] == "tool_result" for block in last)
    return returns and bool(answers) and answers[-1][0]["type"] not in THOUGHTS

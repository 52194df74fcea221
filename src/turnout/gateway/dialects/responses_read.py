"""Translates OpenAI's Responses bodies into the shape of chat completions.

Invariant: messages, calls and their results are all kept; fields that need state at the provider
raise. Hosted tools stay as they are, and their items leave no message: such a request goes only to
providers that speak Responses, and these get the body as it came (see ``core.hosted``).
Source: platform.openai.com/docs/api-reference/responses.
This module does not know answers.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import orjson

from turnout.core import InvalidRequest
from turnout.core.hosted import FOUND, hosted_tools
from turnout.core.request import parts_of
from turnout.gateway.dialects.reading import mapping, objects, results_after_calls, tool_call
from turnout.gateway.dialects.responses_custom import CUSTOM, arguments_of
from turnout.gateway.dialects.responses_tools import (
    SEARCH,
    found_text,
    function_name,
    offered,
)

SAME = (
    "temperature",
    "top_p",
    "user",
    "seed",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
)
LOGPROBS = "message.output_text.logprobs"
# Fields that need state, and what to send instead.
_STATEFUL = {
    "conversation": "name an answer as previous_response_id, or send the whole input",
    "prompt": "send what it says as instructions and input",
    "background": "wait for the answer, or stream it",
}
# The fields of which a part must have one.
_WANTED = {
    "input_image": "image_url or file_id",
    "input_file": "file_data, file_url or file_id",
}
# A thought with its signature goes back to its own model; other models do not get it. A reference
# to a thought, by an id that begins with this, is left out.
_THOUGHT_ID = "rs_"


def chat_body(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The chat body for a Responses body. Raises InvalidRequest."""
    for name, instead in _STATEFUL.items():
        if payload.get(name):
            raise InvalidRequest(f"{name} is not offered here; {instead}", field=name)
    messages = _merged([*_instructions(payload), *_input(payload)])
    body: dict[str, Any] = {"messages": results_after_calls(messages)}
    body.update({name: payload[name] for name in SAME if payload.get(name) is not None})
    if payload.get("max_output_tokens") is not None:
        body["max_completion_tokens"] = payload["max_output_tokens"]
    if LOGPROBS in (payload.get("include") or ()):
        body["logprobs"] = True
        if payload.get("top_logprobs") is not None:
            body["top_logprobs"] = payload["top_logprobs"]
    body.update(_tools(payload))
    body.update(_format(payload))
    effort = mapping(payload.get("reasoning"), "reasoning").get("effort")
    return {**body, "reasoning_effort": effort} if effort else body


def _instructions(payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    text = payload.get("instructions")
    if text is not None and not isinstance(text, str):
        raise InvalidRequest("instructions must be text", field="instructions")
    if text:
        yield {"role": "system", "content": text}


def _input(payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    items = payload.get("input")
    if isinstance(items, str):
        yield {"role": "user", "content": items}
        return
    if not isinstance(items, list) or not items:
        raise InvalidRequest("input must be text or a list of items", field="input")
    for index, item in enumerate(items):
        where = f"input[{index}]"
        if not isinstance(item, Mapping):
            raise InvalidRequest(f"{where} must be an object", field=where)
        yield from _item(item, where)


def _item(item: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    kind = item.get("type") or "message"
    if kind == "message":
        yield {"role": item.get("role"), "content": _content(item.get("content"), where)}
    elif kind in ("function_call", "custom_tool_call"):
        custom = kind == "custom_tool_call"
        arguments = arguments_of(item.get("input")) if custom else item.get("arguments") or "{}"
        name = function_name(_word(item, "name", where), item.get("namespace"))
        yield _call(_word(item, "call_id", where), name, arguments)
    elif kind in ("function_call_output", "custom_tool_call_output"):
        yield _result(item, where)
    elif kind == "tool_search_call" and item.get("call_id"):
        arguments = orjson.dumps(item.get("arguments") or {}).decode()
        yield _call(str(item["call_id"]), SEARCH, arguments)
    elif kind == FOUND and item.get("call_id"):
        yield {"role": "tool", "tool_call_id": item["call_id"], "content": found_text(item)}
    elif kind == "item_reference" and not str(item.get("id")).startswith(_THOUGHT_ID):
        raise InvalidRequest(
            f"{where} refers to an item that the gateway does not keep; send the item itself",
            field=where,
        )
    elif kind == "reasoning" and isinstance(item.get("encrypted_content"), str):
        yield {
            "role": "assistant",
            "content": None,
            "reasoning_content": "".join(
                str(part.get("text", ""))
                for part in objects(item.get("summary"), f"{where}.summary")
            ),
            "reasoning_signature": item["encrypted_content"],
        }
    elif not isinstance(kind, str):
        raise InvalidRequest(f"{where}.type is {kind!r}; it must be text", field=where)


def _call(ident: str, name: str, arguments: object) -> dict[str, Any]:
    calls = [tool_call(ident, name, arguments)]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def _result(item: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The result of a call, or the output of a tool that was not called."""
    content = _content(item.get("output"), where)
    if item.get("call_id") is not None or not item.get("name"):
        return {"role": "tool", "tool_call_id": _word(item, "call_id", where), "content": content}
    name = function_name(str(item["name"]), item.get("namespace"))
    return {"role": "user", "content": [{"type": "text", "text": f"{name}:"}, *parts_of(content)]}


def _word(item: Mapping[str, Any], name: str, where: str) -> str:
    word = item.get(name)
    if not isinstance(word, str) or not word:
        raise InvalidRequest(
            f"{where}.{name} is {word!r}; it must be text", field=f"{where}.{name}"
        )
    return word


def _content(value: object, where: str) -> str | list[dict[str, Any]]:
    """The parts; if they are a single text or none, plain text, which every provider takes."""
    if isinstance(value, str):
        return value
    parts = [_part(part, where) for part in objects(value, where)]
    if len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"])
    return parts or ""


def _part(part: Mapping[str, Any], where: str) -> dict[str, Any]:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text", "refusal"):
        return {"type": "text", "text": str(part.get("text") or part.get("refusal") or "")}
    if kind == "input_image" and (part.get("image_url") or part.get("file_id")):
        # Only OpenAI knows the id: other providers refuse it, so that the image is never lost.
        named = "url" if part.get("image_url") else "file_id"
        image = {named: part.get("image_url") or part["file_id"]}
        return {"type": "image_url", "image_url": {**image, "detail": part.get("detail") or "auto"}}
    if kind == "input_file" and (data := part.get("file_data") or part.get("file_url")):
        file = {"filename": part.get("filename") or "file", "file_data": data}
        return {"type": "file", "file": file}
    if kind == "input_file" and part.get("file_id"):
        return {"type": "file", "file": {"file_id": part["file_id"]}}
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": part.get("input_audio")}
    if kind in _WANTED:
        raise InvalidRequest(f"{where} has an {kind} without {_WANTED[kind]}", field=where)
    raise InvalidRequest(f"{where} has a part of type {kind!r} that is not known", field=where)


def _merged(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Calls joined to the answer before them, and thoughts to the answer after them, as in chat.

    A thought between two pieces of an answer joins them; its signature keeps its place in the text.
    """
    found: list[dict[str, Any]] = []
    thoughts: dict[str, Any] = {}
    for message in messages:
        if _is_thought(message):
            thoughts = _joined(thoughts, message)
            continue
        last = found[-1] if found else {}
        goes_on = message["role"] == last.get("role") == "assistant"
        if thoughts and message["role"] == "assistant":
            before = found.pop() if goes_on and not last.get("tool_calls") else {}
            found.append(_joined(before, _joined(thoughts, message)))
        elif goes_on and message.get("tool_calls"):
            last["tool_calls"] = [*last.get("tool_calls", ()), *message["tool_calls"]]
        else:
            found.append(message)
        thoughts = {}
    return found


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Two pieces of an answer as one: their texts or parts are joined."""
    found = {**one, **other}
    for name in ("content", "reasoning_content", "reasoning_signature"):
        first, second = one.get(name), other.get(name)
        if isinstance(first, str) and isinstance(second, str):
            found[name] = first + second
        elif first and second:
            found[name] = [*parts_of(first), *parts_of(second)]
        elif first:
            found[name] = first
    return found


def _is_thought(message: Mapping[str, Any]) -> bool:
    """Whether the message is a thought without text or calls."""
    return "reasoning_content" in message and not (message["content"] or "tool_calls" in message)


def _tools(payload: Mapping[str, Any]) -> dict[str, Any]:
    tools, others = offered(payload), hosted_tools(payload)
    if not tools and not others:
        return {}
    kinds = {tool.get("type") for tool in others}
    choice, names = _choice(payload.get("tool_choice"), list(tools), kinds)
    functions = [{"type": "function", "function": tools[name].function} for name in names]
    found: dict[str, Any] = {"tools": [*functions, *others]}
    if choice is not None:
        found["tool_choice"] = choice
    if payload.get("parallel_tool_calls") is False:
        # True is the default everywhere, and some providers refuse the field.
        found["parallel_tool_calls"] = False
    return found


def _choice(
    choice: object, names: list[str], hosted: Collection[object]
) -> tuple[object, list[str]]:
    """``tool_choice`` in chat's form, and the names of the functions to show.

    ``allowed_tools`` means that only those are shown, which every provider understands. The choice
    of a tool of the ``hosted`` types is None, since chat has no form for it.
    """
    if choice is None or choice in ("auto", "none", "required"):
        return choice, names
    asked = choice if isinstance(choice, Mapping) else {}
    if asked.get("type") in ("function", CUSTOM):
        name = function_name(_word(asked, "name", "tool_choice"), asked.get("namespace"))
        return {"type": "function", "function": {"name": name}}, names
    if asked.get("type") == "allowed_tools":
        allowed = {
            function_name(str(tool.get("name")), tool.get("namespace"))
            for tool in objects(asked.get("tools"), "tool_choice.tools")
        }
        return asked.get("mode", "auto"), [name for name in names if name in allowed]
    if asked.get("type") in hosted:
        return None, names
    raise InvalidRequest(
        f"tool_choice is {choice!r}; use auto, none, required, a function, a custom tool or "
        "allowed_tools",
        field="tool_choice",
    )


def _format(payload: Mapping[str, Any]) -> dict[str, Any]:
    text = mapping(payload.get("text"), "text")
    wanted = mapping(text.get("format"), "text.format")
    found = {"verbosity": text["verbosity"]} if text.get("verbosity") else {}
    kind = wanted.get("type", "text")
    if kind == "json_object":
        return {**found, "response_format": {"type": kind}}
    if kind == "json_schema":
        names = ("name", "schema", "strict", "description")
        schema = {name: wanted[name] for name in names if wanted.get(name) is not None}
        return {**found, "response_format": {"type": kind, "json_schema": schema}}
    if kind != "text":
        raise InvalidRequest(
            f"text.format.type is {kind!r}; use text, json_object or json_schema",
            field="text.format.type",
        )
    return found

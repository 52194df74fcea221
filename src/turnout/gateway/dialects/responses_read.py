"""OpenAI's Responses bodies in the shape of chat completions.

Invariant: messages, calls and their results all arrive; what needs state kept between requests is
refused by name. Source: platform.openai.com/docs/api-reference/responses.
This module does not know answers.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from turnout.core import InvalidRequest
from turnout.gateway.dialects.reading import mapping, objects
from turnout.gateway.dialects.responses_custom import KIND, arguments_of, function_of

_SAME = (
    "temperature",
    "top_p",
    "parallel_tool_calls",
    "user",
    "seed",
    "service_tier",
    "top_logprobs",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
)
_LOGPROBS = "message.output_text.logprobs"
_STATEFUL = ("previous_response_id", "conversation", "prompt", "background")
# What a part must bring to be sent to any provider.
_WANTED = {"input_image": "image_url", "input_file": "file_data"}
# What a model thought is its own: it gets it back with its signature, and others get on without.
# A reference to a thought leads nowhere.
_THOUGHT = "reasoning"
_THOUGHT_ID = "rs_"


def chat_body(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The chat body that ``payload`` amounts to. Raises InvalidRequest."""
    for name in _STATEFUL:
        if payload.get(name):
            raise InvalidRequest(
                f"{name} needs answers kept by the gateway, which keeps none; send the whole input",
                field=name,
            )
    body: dict[str, Any] = {"messages": _merged([*_instructions(payload), *_input(payload)])}
    body.update({name: payload[name] for name in _SAME if payload.get(name) is not None})
    if payload.get("max_output_tokens") is not None:
        body["max_completion_tokens"] = payload["max_output_tokens"]
    if _LOGPROBS in (payload.get("include") or ()):
        body["logprobs"] = True
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
        said = arguments_of(item.get("input")) if custom else item.get("arguments") or "{}"
        function = {"name": _word(item, "name", where), "arguments": said}
        call = {"id": _word(item, "call_id", where), "type": "function", "function": function}
        yield {"role": "assistant", "content": None, "tool_calls": [call]}
    elif kind in ("function_call_output", "custom_tool_call_output"):
        content = _content(item.get("output"), where)
        yield {"role": "tool", "tool_call_id": _word(item, "call_id", where), "content": content}
    elif kind == "item_reference" and not str(item.get("id")).startswith(_THOUGHT_ID):
        raise InvalidRequest(
            f"{where} refers to an answer that the gateway has not kept; send the item itself",
            field=where,
        )
    elif kind == _THOUGHT and isinstance(item.get("encrypted_content"), str):
        yield {
            "role": "assistant",
            "content": None,
            "reasoning_content": "".join(_summary(item, where)),
            "reasoning_signature": item["encrypted_content"],
        }
    elif kind not in (_THOUGHT, "item_reference"):
        raise InvalidRequest(f"{where} is of type {kind!r}, which is not known", field=where)


def _summary(item: Mapping[str, Any], where: str) -> Iterator[str]:
    for part in objects(item.get("summary"), f"{where}.summary"):
        yield str(part.get("text", ""))


def _word(item: Mapping[str, Any], name: str, where: str) -> str:
    word = item.get(name)
    if not isinstance(word, str) or not word:
        raise InvalidRequest(
            f"{where}.{name} is {word!r}; it must be text", field=f"{where}.{name}"
        )
    return word


def _content(value: object, where: str) -> str | list[dict[str, Any]]:
    """Parts, or where they are one text or none plain text, which every provider takes."""
    if isinstance(value, str):
        return value
    parts = [_part(part, where) for part in objects(value, where)]
    if len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"])
    return parts or ""


def _part(value: object, where: str) -> dict[str, Any]:
    part = mapping(value, where)
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": str(part.get("text", ""))}
    if kind == "refusal":
        return {"type": "text", "text": str(part.get("refusal", ""))}
    if kind == "input_image" and part.get("image_url"):
        image = {"url": part["image_url"], "detail": part.get("detail") or "auto"}
        return {"type": "image_url", "image_url": image}
    if kind == "input_file" and part.get("file_data"):
        file = {"filename": part.get("filename") or "file", "file_data": part["file_data"]}
        return {"type": "file", "file": file}
    if kind == "input_file" and part.get("file_id"):
        return {"type": "file", "file": {"file_id": part["file_id"]}}
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": part.get("input_audio")}
    if kind in _WANTED:
        raise InvalidRequest(f"{where} has an {kind} without {_WANTED[kind]}", field=where)
    raise InvalidRequest(f"{where} has a part of type {kind!r} that is not known", field=where)


def _merged(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Calls that follow an answer belong to it, and a thought to what it led to, as in chat."""
    found: list[dict[str, Any]] = []
    for message in messages:
        last = found[-1] if found else {}
        assistants = message["role"] == last.get("role") == "assistant"
        if assistants and _is_thought(last):
            found[-1] = {**last, **message}
        elif assistants and message.get("tool_calls"):
            last["tool_calls"] = [*last.get("tool_calls", ()), *message["tool_calls"]]
        else:
            found.append(message)
    return [message for message in found if not _is_thought(message)]


def _is_thought(message: Mapping[str, Any]) -> bool:
    """Whether the message is a thought that has led to nothing yet."""
    return "reasoning_content" in message and not (message["content"] or "tool_calls" in message)


def _tools(payload: Mapping[str, Any]) -> dict[str, Any]:
    tools = objects(payload.get("tools"), "tools")
    if not tools:
        return {}
    choice, tools = _choice(payload.get("tool_choice"), tools)
    found: dict[str, Any] = {"tools": [_tool(tool) for tool in tools]}
    return found if choice is None else {**found, "tool_choice": choice}


def _choice(
    choice: object, tools: list[Mapping[str, Any]]
) -> tuple[object, list[Mapping[str, Any]]]:
    """``tool_choice`` in chat's words, and the tools that it leaves.

    Those that it allows are the only ones shown, which every provider understands.
    """
    if choice is None or choice in ("auto", "none", "required"):
        return choice, tools
    asked = choice if isinstance(choice, Mapping) else {}
    if asked.get("type") in ("function", KIND):
        name = _word(asked, "name", "tool_choice")
        return {"type": "function", "function": {"name": name}}, tools
    if asked.get("type") == "allowed_tools":
        names = {one.get("name") for one in objects(asked.get("tools"), "tool_choice.tools")}
        return asked.get("mode", "auto"), [tool for tool in tools if tool.get("name") in names]
    raise InvalidRequest(
        f"tool_choice is {choice!r}; use auto, none, required, a function, a custom tool or "
        "allowed_tools",
        field="tool_choice",
    )


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    if tool.get("type") == KIND:
        return {"type": "function", "function": function_of(tool)}
    if tool.get("type") != "function":
        raise InvalidRequest(
            f"tools has one of type {tool.get('type')!r}, which runs at one provider; "
            "only functions and custom tools can be routed",
            field="tools",
        )
    names = ("name", "description", "parameters", "strict")
    function = {name: tool[name] for name in names if tool.get(name) is not None}
    return {"type": "function", "function": function}


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

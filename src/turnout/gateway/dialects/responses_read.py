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

_SAME = ("temperature", "top_p", "parallel_tool_calls", "user", "seed", "service_tier")
_STATEFUL = ("previous_response_id", "conversation", "prompt", "background")
# What a model thought is its own; others get on without it, and a reference to it leads nowhere.
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
    kind = item.get("type", "message")
    if kind == "message":
        content = item.get("content")
        parts = content if isinstance(content, str) else [_part(p, where) for p in content or ()]
        yield {"role": item.get("role"), "content": _simple(parts)}
    elif kind in ("function_call", "custom_tool_call"):
        custom = kind == "custom_tool_call"
        said = arguments_of(item.get("input")) if custom else item.get("arguments") or "{}"
        function = {"name": item.get("name"), "arguments": said}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        yield {"role": "assistant", "content": None, "tool_calls": [call]}
    elif kind in ("function_call_output", "custom_tool_call_output"):
        output = item.get("output")
        parts = output if isinstance(output, str) else [_part(p, where) for p in output or ()]
        yield {"role": "tool", "tool_call_id": item.get("call_id"), "content": _simple(parts)}
    elif kind == "item_reference" and not str(item.get("id")).startswith(_THOUGHT_ID):
        raise InvalidRequest(
            f"{where} refers to an answer that the gateway has not kept; send the item itself",
            field=where,
        )
    elif kind not in (_THOUGHT, "item_reference"):
        raise InvalidRequest(f"{where} is of type {kind!r}, which is not known", field=where)


def _simple(parts: str | list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """One text part as plain text, which every provider takes."""
    if isinstance(parts, list) and len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"])
    return parts


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
    raise InvalidRequest(f"{where} has a part of type {kind!r} that is not known", field=where)


def _merged(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Calls that follow an answer belong to it: chat wants them in one assistant message."""
    found: list[dict[str, Any]] = []
    for message in messages:
        last = found[-1] if found else {}
        if message.get("tool_calls") and last.get("role") == "assistant":
            last["tool_calls"] = [*last.get("tool_calls", ()), *message["tool_calls"]]
        else:
            found.append(message)
    return found


def _tools(payload: Mapping[str, Any]) -> dict[str, Any]:
    tools = objects(payload.get("tools"), "tools")
    if not tools:
        return {}
    found: dict[str, Any] = {"tools": [_tool(tool) for tool in tools]}
    choice = payload.get("tool_choice")
    if isinstance(choice, Mapping):
        found["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    elif choice is not None:
        found["tool_choice"] = choice
    return found


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
    wanted = mapping(mapping(payload.get("text"), "text").get("format"), "text.format")
    if wanted.get("type") == "json_object":
        return {"response_format": {"type": "json_object"}}
    if wanted.get("type") != "json_schema":
        return {}
    names = ("name", "schema", "strict", "description")
    schema = {name: wanted[name] for name in names if wanted.get(name) is not None}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}

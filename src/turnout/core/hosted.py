"""Hosted tools: those that run at the provider itself. OpenAI's need its Responses API.

Invariant: a tool that is not known here counts as a hosted one that is paid for by the call.
Sources: platform.openai.com/docs/guides/tools, its pricing for what is paid by the call;
platform.claude.com/docs (server tools). This module does not know which models could run them.
"""

import re
from collections.abc import Sequence

from turnout.core.lost_fields import objects_in
from turnout.core.request import Body

# Types of tools that stand for functions, which every model can be offered.
FUNCTION_TYPES = frozenset({"function", "custom", "namespace", "tool_search"})
# Types of input items that can be translated for every model, or may be left out.
TRANSLATABLE_ITEMS = frozenset(
    {
        "message", "function_call", "function_call_output", "custom_tool_call",
        "custom_tool_call_output", "tool_search_call", "tool_search_output", "additional_tools",
        "reasoning", "item_reference", "web_search_call",
    }
)  # fmt: skip
# Types of input items that hold tools: the result of a tool search, and a list from the client.
FOUND = "tool_search_output"
_WITH_TOOLS = frozenset({FOUND, "additional_tools"})
# Types of blocks in an answer of Messages that the model itself wrote.
MODEL_BLOCKS = ("text", "tool_use", "thinking", "redacted_thinking")
# Types of output items that any provider's answer may hold.
_COMMON_ITEMS = ("message", "reasoning", "function_call", "custom_tool_call")
# The block of any tool that runs at Anthropic. Its searches are counted in the usage; fetching
# pages is free, and so is running code for the first 1,550 hours of an organisation's month.
SERVER_TOOL = "server_tool_use"
SOUND = "audio"
_SEARCH = "web_search_"
# Beginnings of the types, of tools and of their calls, that are paid for by tokens alone.
_BY_TOKENS = (
    "mcp", "computer", "local_shell", "apply_patch", "tool_search", "compaction", "function_call",
    SERVER_TOOL,
)  # fmt: skip
# Anthropic's tools, whose types end in a date: they are paid for by tokens, or by the search.
_DATED = re.compile(r"_\d{8}$")
# How to turn such a tool off in a widely used client that declares it by itself.
_HOW_TO_TURN_OFF = {
    "web_search": ' (in Codex: web_search = "disabled" in its config.toml)',
    "image_generation": " (in Codex: image_generation = false under [features])",
}


def is_hosted_block(message: Body, block: Body) -> bool:
    """Whether a block of a message in a Messages body is the work of a hosted tool."""
    return message.get("role") == "assistant" and str(block.get("type")) not in MODEL_BLOCKS


def tool_lists(native: Body) -> list[tuple[str, object]]:
    """The lists of tools in a Responses body, each with its name; its own comes first."""
    found = [("tools", native.get("tools"))]
    for item in objects_in(native.get("input")):
        kind = str(item.get("type"))
        if kind in _WITH_TOOLS:
            found.append((f"{kind}.tools", item.get("tools")))
    return found


def hosted_tools(native: Body) -> list[Body]:
    """The tools of a Responses body that run at OpenAI."""
    return [
        tool
        for _, tools in tool_lists(native)
        for tool in objects_in(tools)
        if str(tool.get("type")) not in FUNCTION_TYPES
    ]


def hosted(native: Body) -> tuple[str, ...]:
    """The sorted types of tools and items in a body that only OpenAI's Responses can carry."""
    tools = {str(tool.get("type")) for tool in hosted_tools(native)}
    kinds = {str(item.get("type") or "message") for item in objects_in(native.get("input"))}
    return tuple(sorted(tools | (kinds - TRANSLATABLE_ITEMS)))


def has_paid_by_call(body: Body) -> bool:
    """Whether the body, of Responses or chat, offers a tool that costs more than its tokens."""
    tools = [tool for tool in hosted_tools(body) if "function" not in tool]
    return any(is_paid_by_call(str(tool.get("type"))) for tool in tools)


def most_searches(tools: Sequence[Body]) -> int | None:
    """The most searches that tools of Anthropic's make for a request; None for any number."""
    found = 0
    for tool in tools:
        if str(tool.get("type")).startswith(_SEARCH):
            most = tool.get("max_uses")
            if type(most) is not int or most < 0:
                return None
            found += most
    return found


def is_paid_by_call(kind: str) -> bool:
    """Whether a tool or an item of this type costs more than its tokens."""
    return not (kind.startswith(_BY_TOKENS) or _DATED.search(kind))


def is_hosted(kind: object) -> bool:
    """Whether an output item of this type is the work of a hosted tool."""
    return kind not in _COMMON_ITEMS


def hosted_refusal(names: Sequence[str]) -> str:
    """Why no model can take a request with these tools when none is asked over Responses."""
    hints = "".join(_HOW_TO_TURN_OFF.get(name, "") for name in names)
    return (
        f"{', '.join(map(repr, names))} runs at one provider, and none of the models that may "
        "answer is asked over OpenAI's Responses (family: openai-responses); leave it out"
        f"{hints}, or add such a model"
    )

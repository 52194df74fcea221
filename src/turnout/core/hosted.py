"""What runs at a provider beside its models: at OpenAI, where it goes over Responses alone.

Invariant: a tool that is not known here is taken for one of these, and for one that is paid for by
the call. Sources: platform.openai.com/docs/guides/tools; its pricing for what is paid by the call;
platform.claude.com/docs (server tools). This module does not know who could run it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from turnout.core.unsaid import objects_in

# Tools that stand for functions, which every model can be shown.
FUNCTIONS = frozenset({"function", "custom", "namespace", "tool_search"})
# Items that every model can be told of, or that leave nothing to tell.
TOLD = frozenset(
    {
        "message", "function_call", "function_call_output", "custom_tool_call",
        "custom_tool_call_output", "tool_search_call", "tool_search_output", "additional_tools",
        "reasoning", "item_reference", "web_search_call",
    }
)  # fmt: skip
# Blocks of an answer of Messages that are a model's own.
SAID_BY_MODEL = frozenset({"text", "tool_use", "thinking", "redacted_thinking"})
# Of an answer: what any provider's answer may hold.
_USUAL = frozenset({"message", "reasoning", "function_call", "custom_tool_call"})
# A block of any tool that runs at Anthropic. Its searches are counted in the usage; reading pages
# is free, and so is running programs for the first 1,550 hours of an organisation's month.
SERVER_TOOL = "server_tool_use"
SOUND = "audio"
_SEARCH = "web_search_"
# Paid for by tokens alone, whether as a tool or as its call.
_BY_TOKENS = (
    "mcp", "computer", "local_shell", "apply_patch", "tool_search", "compaction", "function_call",
    SERVER_TOOL,
)  # fmt: skip
# Where a widely used client declares such a tool on its own.
_WAYS_OUT = {
    "web_search": ' (in Codex: web_search = "disabled" in its config.toml)',
    "image_generation": " (in Codex: image_generation = false under [features])",
}

Body = Mapping[str, Any]


def ran_there(message: Body, block: Body) -> bool:
    """Whether a message's block in a Messages body is of a tool that ran at the provider."""
    return message.get("role") == "assistant" and str(block.get("type")) not in SAID_BY_MODEL


def hosted_tools(native: Body) -> list[Body]:
    """The tools of a Responses body that run at OpenAI."""
    return [tool for tool in objects_in(native.get("tools")) if tool.get("type") not in FUNCTIONS]


def hosted(native: Body) -> tuple[str, ...]:
    """The types of a body's tools and items that only OpenAI's Responses can carry, in order."""
    tools = {str(tool.get("type")) for tool in hosted_tools(native)}
    kinds = {str(item.get("type") or "message") for item in objects_in(native.get("input"))}
    return tuple(sorted(tools | (kinds - TOLD)))


def paid_by_call(native: Body) -> bool:
    """Whether a tool is offered that costs more than the tokens it takes."""
    return any(is_paid_by_call(str(tool.get("type"))) for tool in hosted_tools(native))


def searches(tools: Sequence[Body]) -> int | None:
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
    return not kind.startswith(_BY_TOKENS)


def is_hosted(kind: object) -> bool:
    """Whether an answer's item of this type is the work of a tool that runs there."""
    return kind not in _USUAL


def refusal(names: Sequence[str]) -> str:
    """Why a request with these cannot be taken where no model is reached over Responses."""
    ways = "".join(_WAYS_OUT.get(name, "") for name in names)
    return (
        f"{', '.join(map(repr, names))} runs at one provider, and none of the models that may "
        "answer is asked over OpenAI's Responses (family: openai-responses); leave it out"
        f"{ways}, or add such a model"
    )

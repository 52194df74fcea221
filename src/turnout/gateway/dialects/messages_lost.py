"""The fields of a Messages body that are lost in its translation into chat.

Invariant: handles the same fields as ``messages_read``; all others count as lost, except thoughts
of other models. Source: platform.claude.com/docs/en/api/messages.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from turnout.core.effort import THINKING
from turnout.core.hosted import is_hosted_block
from turnout.core.lost_fields import CACHE_MARK, HandledFields, lost_fields, objects_in
from turnout.gateway.dialects.messages_read import SAME

_HANDLED: HandledFields = {
    **dict.fromkeys(
        (
            *SAME, "model", "stream", "messages", "system", "max_tokens", "stop_sequences", "tools",
            "mcp_servers", "output_format",
        )
    ),
    "tool_choice": frozenset({"type", "name", "disable_parallel_tool_use"}),
    "thinking": frozenset({"type", "budget_tokens"}),
    "output_config": frozenset({"effort", "format"}),
    "metadata": frozenset({"user_id"}),
}  # fmt: skip
_TOOL = dict.fromkeys(
    ("type", "name", "description", "input_schema", "strict", CACHE_MARK, "defer_loading")
)
_MESSAGE = dict.fromkeys(("role", "content"))
# The fields of blocks by type. Other blocks pass unchanged, or are a model's thoughts.
_BLOCKS: Mapping[str, HandledFields] = {
    kind: dict.fromkeys(("type", *fields))
    for kind, fields in {
        "text": ("text", CACHE_MARK),
        "image": ("source", CACHE_MARK),
        "document": ("source", "title", "context", CACHE_MARK),
        "search_result": ("source", "title", "content", CACHE_MARK),
        "tool_use": ("id", "name", "input"),
        "tool_result": ("tool_use_id", "content", "is_error", CACHE_MARK),
    }.items()
}


def lost_in_chat(payload: Mapping[str, Any]) -> Iterator[str]:
    """The fields, as the caller wrote them; some more than once."""
    yield from lost_fields(payload, _HANDLED)
    if (payload.get("thinking") or {}).get("type") not in (None, *THINKING):
        yield "thinking"
    for tool in objects_in(payload.get("tools")):
        if tool.get("type", "custom") == "custom":
            yield from lost_fields(tool, _TOOL, "tools.")
    for block in objects_in(payload.get("system")):
        yield from _block(block)
    for message in objects_in(payload.get("messages")):
        yield from lost_fields(message, _MESSAGE, "messages.")
        for block in objects_in(message.get("content")):
            if is_hosted_block(message, block):
                yield f"messages.{block.get('type')}"
            else:
                yield from _block(block)


def _block(block: Mapping[str, Any]) -> Iterator[str]:
    handled = _BLOCKS.get(str(block.get("type")))
    if handled is not None:
        yield from lost_fields(block, handled, "messages.")
    source = block.get("source")
    holder = source if isinstance(source, Mapping) else block  # a document's blocks are in it
    for inner in objects_in(holder.get("content")):
        yield from _block(inner)

"""The fields of a Responses body that are lost in its translation into chat.

Invariant: handles the same fields as ``responses_read``; all others count as lost. Fields that the
gateway itself handles (``store``, ``metadata``) and thoughts of other models do not count.
Source: platform.openai.com/docs/api-reference/responses/create.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from turnout.core.hosted import tool_lists
from turnout.core.lost_fields import HandledFields, lost_fields, objects_in
from turnout.gateway.dialects.responses_read import LOGPROBS, SAME

_INCLUDED = frozenset({LOGPROBS, "reasoning.encrypted_content"})
_HANDLED: HandledFields = {
    **dict.fromkeys(
        (
            *SAME, "model", "stream", "input", "instructions", "max_output_tokens", "tools",
            "tool_choice", "parallel_tool_calls", "include", "top_logprobs", "store", "metadata",
            "background", "previous_response_id",
        )
    ),
    "stream_options": frozenset({"include_obfuscation"}),
    # The caller gets the model's thoughts themselves, which is more than a summary.
    "reasoning": frozenset({"effort", "summary", "generate_summary"}),
    "text": frozenset({"format", "verbosity"}),
}  # fmt: skip
_TOOLS: Mapping[str, HandledFields] = {
    # Deferred tools are shown at once.
    "function": dict.fromkeys(
        ("type", "name", "description", "parameters", "strict", "defer_loading")
    ),
    "custom": dict.fromkeys(("type", "name", "description", "format", "defer_loading")),
    "namespace": dict.fromkeys(("type", "name", "tools")),
}
# The fields of messages; those of an earlier answer may be repeated from it.
_MESSAGE: HandledFields = dict.fromkeys(("type", "role", "content", "id", "status"))
# The fields of parts by type.
_PARTS: Mapping[str, HandledFields] = {
    "input_text": dict.fromkeys(("type", "text")),
    "input_image": dict.fromkeys(("type", "image_url", "file_id", "detail")),
    "input_file": dict.fromkeys(("type", "file_data", "file_url", "file_id", "filename")),
    "input_audio": dict.fromkeys(("type", "input_audio")),
}


def lost_in_chat(payload: Mapping[str, Any]) -> Iterator[str]:
    """The fields, as the caller wrote them; some more than once."""
    yield from lost_fields(payload, _HANDLED)
    include = set(map(str, payload.get("include") or ()))
    if not include <= _INCLUDED:
        yield "include"
    if payload.get("top_logprobs") and LOGPROBS not in include:
        yield "top_logprobs"
    for _, tools in tool_lists(payload):
        for tool in objects_in(tools):
            for one in (tool, *objects_in(tool.get("tools"))):
                yield from _lost(one, _TOOLS, "tools.")
    for item in objects_in(payload.get("input")):
        if item.get("role") not in (None, "assistant"):
            yield from lost_fields(item, _MESSAGE, "input.")
        for part in (*objects_in(item.get("content")), *objects_in(item.get("output"))):
            yield from _lost(part, _PARTS, "input.")


def _lost(one: Mapping[str, Any], fields: Mapping[str, HandledFields], where: str) -> Iterator[str]:
    """The lost fields of a tool or a part; none if its type is not in ``fields``."""
    handled = fields.get(str(one.get("type")))
    if handled is not None:
        yield from lost_fields(one, handled, where)

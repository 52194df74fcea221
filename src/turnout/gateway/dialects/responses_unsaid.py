"""What a Responses body says that its translation into chat leaves out.

Invariant: mirrors ``responses_read``; what is in neither counts as left out. What stays at the
gateway (``store``, ``metadata``) is no loss, and thoughts belong to the model that had them.
Source: platform.openai.com/docs/api-reference/responses/create.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from turnout.core.unsaid import Heard, objects_in, unheard
from turnout.gateway.dialects.responses_read import LOGPROBS, SAME

_INCLUDED = frozenset({LOGPROBS, "reasoning.encrypted_content"})
_HEARD: Heard = {
    **dict.fromkeys(
        (
            *SAME, "model", "stream", "input", "instructions", "max_output_tokens", "tools",
            "tool_choice", "parallel_tool_calls", "include", "top_logprobs", "store", "metadata",
            "background", "previous_response_id",
        )
    ),
    "stream_options": frozenset({"include_obfuscation"}),
    # A model's thoughts are shown as they are, which is more than a summary.
    "reasoning": frozenset({"effort", "summary", "generate_summary"}),
    "text": frozenset({"format", "verbosity"}),
}  # fmt: skip
_TOOLS: Mapping[str, Heard] = {
    # Tools that wait to be found are shown at once.
    "function": dict.fromkeys(
        ("type", "name", "description", "parameters", "strict", "defer_loading")
    ),
    "custom": dict.fromkeys(("type", "name", "description", "format", "defer_loading")),
}


def unsaid(payload: Mapping[str, Any]) -> Iterator[str]:
    """The fields, as their caller wrote them; some more than once."""
    yield from unheard(payload, _HEARD)
    include = set(map(str, payload.get("include") or ()))
    if not include <= _INCLUDED:
        yield "include"
    if payload.get("top_logprobs") and LOGPROBS not in include:
        yield "top_logprobs"
    for tool in objects_in(payload.get("tools")):
        inner = objects_in(tool.get("tools")) if tool.get("type") == "namespace" else [tool]
        for one in inner:
            heard = _TOOLS.get(str(one.get("type")))
            if heard is not None:
                yield from unheard(one, heard, "tools.")

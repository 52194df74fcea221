"""The message for an unknown path: which path may be meant, or what to use instead."""

import re
from collections.abc import Collection

_SLASHES = re.compile("/+")
# What other gateways have before these paths, and parts of a base URL that were given twice.
_PREFIXES = re.compile(r"^/(?:(?:v1|api|openai|anthropic|compatible-mode)/)*")
_CALL_DIRECTLY = "call the provider itself"
# What OpenAI or Anthropic have and Turnout does not, by the beginning of the path.
NOT_OFFERED = {
    "/v1/completions": "use /v1/chat/completions",
    "/v1/responses/compact": "shorten the conversation yourself and send it",
    "/v1/conversations": "name an answer as previous_response_id, or send the whole conversation",
    "/v1/chat/completions/": "answers are not stored; GET /v1/decisions/ID returns their decisions",
    "/v1/messages/batches": "send the requests one by one",
    "/v1/batches": "send the requests one by one",
    "/v1/files": "put files into the messages, or call the provider itself",
    "/v1/moderations": "POST /v1/route says whether a request would be blocked",
    "/v1/complete": "use /v1/messages",
    "/v1/assistants": "use /v1/responses or /v1/chat/completions",
    "/v1/threads": "use /v1/responses or /v1/chat/completions",
    **dict.fromkeys(
        (
            "/v1/audio/", "/v1/images/", "/v1/videos", "/v1/realtime", "/v1/vector_stores",
            "/v1/fine_tuning/", "/v1/evals", "/v1/uploads", "/v1/containers", "/v1/chatkit/",
            "/v1/organization", "/v1/organizations", "/v1/skills", "/v1/rerank",
        ),
        _CALL_DIRECTLY,
    ),
}  # fmt: skip


def unknown_path_message(path: str, known: Collection[str]) -> str:
    """Why ``path`` is not served, in one line, and which of ``known`` may be meant."""
    shown = path[:100]
    normalized = _PREFIXES.sub("/v1/", _SLASHES.sub("/", path).rstrip("/"))
    if normalized in known:
        return f"no such path: {shown}; did you mean {normalized}?"
    for prefix, instead in NOT_OFFERED.items():
        if normalized.startswith(prefix):
            return f"{shown} is not offered here; {instead}"
    return f"no such path: {shown}"

"""What providers that speak OpenAI's chat completions call the same thing.

OpenAI's newer models refuse ``max_tokens``; most others know nothing else, and either refuse
``max_completion_tokens`` or, worse, ignore it and write as much as they like. The role
``developer`` is OpenAI's alone; to others it is the ``system``.
Sources: platform.openai.com/docs/api-reference/chat/create; docs.mistral.ai/api and
api-docs.deepseek.com/api/create-chat-completion, which know the older words only.
"""

from functools import lru_cache
from typing import Any, Literal
from urllib.parse import urlsplit

from turnout.catalog import Provider

_OLD_CAP, _NEW_CAP = "max_tokens", "max_completion_tokens"
_NEW_ROLE, _OLD_ROLE = "developer", "system"

_OPENAI = "api.openai.com"
_OPENAI_AT_AZURE = ".openai.azure.com"
# Local servers (llama.cpp, Ollama, vLLM) take both words for the cap.
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})

Words = Literal["new", "old", "both"]


def in_words_of(provider: Provider, body: dict[str, Any]) -> None:
    """Changes the words in ``body`` that ``provider`` would not understand; values stay.

    Where the body names the cap on the answer twice, the newer word counts, as it does here.
    """
    words: Words = "both" if provider.family == "embedded" else _words(provider.base_url)
    if words == "both":
        return
    cap = body.pop(_NEW_CAP, None)
    cap = body.pop(_OLD_CAP, None) if cap is None else cap
    if cap is not None:
        body.pop(_OLD_CAP, None)
        body[_NEW_CAP if words == "new" else _OLD_CAP] = cap
    if words == "old":
        body["messages"] = [
            {**message, "role": _OLD_ROLE} if message.get("role") == _NEW_ROLE else message
            for message in body["messages"]
        ]


@lru_cache(maxsize=256)
def _words(base_url: str) -> Words:
    host = urlsplit(base_url).hostname or ""
    if host in _LOCAL:
        return "both"
    return "new" if host == _OPENAI or host.endswith(_OPENAI_AT_AZURE) else "old"

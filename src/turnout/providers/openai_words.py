"""What providers that speak OpenAI's chat completions take, and what they call the same thing.

OpenAI's newer models refuse ``max_tokens``; most others know nothing else, and either refuse
``max_completion_tokens`` or, worse, ignore it and write as much as they like. The role
``developer`` is OpenAI's alone; to others it is the ``system``. Gemini refuses a call that has lost
the signature of the thought before it, unless it is told that there is none to check.
Sources: platform.openai.com/docs/api-reference/chat/create; console.groq.com/docs/api-reference;
openrouter.ai/docs/features/prompt-caching; docs.mistral.ai/api and
api-docs.deepseek.com/api/create-chat-completion, which know the older words only;
ai.google.dev/gemini-api/docs/thought-signatures.
"""

from collections.abc import Mapping
from typing import Any, Literal

from turnout.catalog import Provider
from turnout.core import InvalidRequest
from turnout.core.hosts import LOOPBACK, OPENAI, host_of, is_openai
from turnout.providers.tool_schemas import in_google_words, with_schema

_OLD_CAP, _NEW_CAP = "max_tokens", "max_completion_tokens"
_NEW_ROLE, _OLD_ROLE = "developer", "system"

_GOOGLE = "generativelanguage.googleapis.com"
_NO_SIGNATURE = {"google": {"thought_signature": "skip_thought_signature_validator"}}
_OPENROUTER = "openrouter.ai"
# Hosts documented to take stream_options.include_usage; local servers (llama.cpp, Ollama, vLLM)
# take it too. Others may refuse a field they do not know, so they are not sent it.
_REPORTS_USAGE = LOOPBACK | {
    OPENAI,
    "api.deepseek.com",
    "api.x.ai",
    "api.groq.com",
    "api.together.xyz",
    "api.fireworks.ai",
    "api.deepinfra.com",
    _OPENROUTER,
}
# Hosts that refuse a request for its hint to a cache.
_NO_CACHE_KEY = {"api.groq.com", "api.cerebras.ai", _GOOGLE}
_CACHE_HINTS = ("prompt_cache_key", "prompt_cache_retention")
# Hosts documented to take top_k, beside local servers; others refuse it or look past it.
_TAKES_TOP_K = LOOPBACK | {
    _OPENROUTER,
    "api.together.xyz",
    "api.fireworks.ai",
    "api.deepinfra.com",
}
# The most stops that a host takes, where that is documented.
_MOST_STOPS = {OPENAI: 4, "api.groq.com": 4}

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
    if host_of(provider.base_url) == _GOOGLE:
        body["messages"] = [_without_signature(message) for message in body["messages"]]
        if body.get("tools"):
            body["tools"] = [with_schema(tool, in_google_words) for tool in body["tools"]]


def _without_signature(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message, its first call marked as one without a signature where it has lost its own.

    The other calls of an answer never have one.
    """
    calls = message.get("tool_calls") or ()
    if not calls or any("extra_content" in call for call in calls):
        return message
    return {**message, "tool_calls": [{**calls[0], "extra_content": _NO_SIGNATURE}, *calls[1:]]}


def reports_usage(provider: Provider) -> bool:
    """Whether a stream's usage can be asked for there."""
    return provider.family == "embedded" or host_of(provider.base_url) in _REPORTS_USAGE


def takes_late_instructions(provider: Provider) -> bool:
    """Whether its models take instructions in the midst of a conversation."""
    return provider.family != "embedded" and _words(provider.base_url) == "new"


def unknown_to(provider: Provider) -> tuple[str, ...]:
    """The fields of other APIs for which it would refuse a request, or look past them."""
    host = host_of(provider.base_url)
    hints = _CACHE_HINTS if host in _NO_CACHE_KEY else ()
    return hints if host in _TAKES_TOP_K or provider.family == "embedded" else (*hints, "top_k")


def takes_cache_marks(provider: Provider) -> bool:
    """Whether a prompt may say where its cache ends, as for Anthropic."""
    return host_of(provider.base_url) == _OPENROUTER


def check_stops(provider: Provider, stop: object) -> None:
    """Raises InvalidRequest for more stops than the provider takes, since none may be left out."""
    host = host_of(provider.base_url)
    most = _MOST_STOPS.get(OPENAI if is_openai(provider.base_url) else host)
    if most is not None and isinstance(stop, list | tuple) and len(stop) > most:
        raise InvalidRequest(
            f"stop has {len(stop)} texts; {provider.name} takes at most {most}", field="stop"
        )


def _words(base_url: str) -> Words:
    if host_of(base_url) in LOOPBACK:
        return "both"  # local servers take either word for the cap
    return "new" if is_openai(base_url) else "old"

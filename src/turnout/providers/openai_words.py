"""How providers that speak OpenAI's chat completions differ in the fields that they take.

OpenAI's newer models refuse ``max_tokens``. Most other providers take only that: they refuse
``max_completion_tokens`` or, worse, ignore it and write answers without a cap. Only OpenAI has the
role ``developer``; for others it is ``system``. Gemini refuses a call without the signature of the
thought before it, unless a field says that there is none to check. Mistral refuses a user's message
right after a tool's result, and ids of calls other than its own kind.
Sources: platform.openai.com/docs/api-reference/chat/create; console.groq.com/docs/api-reference;
openrouter.ai/docs/features/prompt-caching; docs.mistral.ai/api and
api-docs.deepseek.com/api/create-chat-completion, which have only the older names;
ai.google.dev/gemini-api/docs/thought-signatures.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

from turnout.catalog import Provider
from turnout.core import InvalidRequest
from turnout.core.hosts import LOOPBACK, OPENAI, host_of, is_openai
from turnout.providers.tool_ids import nine_characters, portable
from turnout.providers.tool_schemas import in_google_words, with_schema

_OLD_CAP, _NEW_CAP = "max_tokens", "max_completion_tokens"
_NEW_ROLE, _OLD_ROLE = "developer", "system"

_GOOGLE = "generativelanguage.googleapis.com"
_NO_SIGNATURE = {"google": {"thought_signature": "skip_thought_signature_validator"}}
_OPENROUTER = "openrouter.ai"
_MISTRAL = "api.mistral.ai"
_ANSWER = {"role": "assistant", "content": "Done."}
# Hosts documented to take stream_options.include_usage; local servers (llama.cpp, Ollama, vLLM)
# take it too. Others may refuse it, so they do not get it.
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
# Hosts that refuse a request with a cache key.
_NO_CACHE_KEY = {"api.groq.com", "api.cerebras.ai", _GOOGLE}
_CACHE_HINTS = ("prompt_cache_key", "prompt_cache_retention")
# Hosts documented to take top_k, and local servers; others refuse or ignore it.
_TAKES_TOP_K = LOOPBACK | {
    _OPENROUTER,
    "api.together.xyz",
    "api.fireworks.ai",
    "api.deepinfra.com",
}
# The most stops that a host takes, where that is documented.
_MOST_STOPS = {OPENAI: 4, "api.groq.com": 4}


def rename_fields(provider: Provider, body: dict[str, Any]) -> None:
    """Changes names in ``body`` to those that ``provider`` takes; values stay.

    If the body has both names of the cap on the answer, the newer one counts, as in Request.
    """
    words = _words(provider)
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
    host = host_of(provider.base_url)
    if host == _MISTRAL:
        body["messages"] = list(_answered(body["messages"]))
    elif host == _GOOGLE:
        body["messages"] = [_without_signature(message) for message in body["messages"]]
        if body.get("tools"):
            body["tools"] = [with_schema(tool, in_google_words) for tool in body["tools"]]


def _without_signature(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message; if its calls have no signature, the first one says that there is none to check.

    Only the first call of an answer has a signature.
    """
    calls = message.get("tool_calls") or ()
    if not calls or any("extra_content" in call for call in calls):
        return message
    return {**message, "tool_calls": [{**calls[0], "extra_content": _NO_SIGNATURE}, *calls[1:]]}


def _answered(messages: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The messages, with an answer between the result of a tool and what the user says next."""
    before = None
    for message in messages:
        role = message.get("role")
        if (before, role) == ("tool", "user"):
            yield _ANSWER
        yield message
        before = role


def id_form(provider: Provider) -> Callable[[str], str]:
    """What puts ids of calls into the form that the provider takes."""
    return nine_characters if host_of(provider.base_url) == _MISTRAL else portable


def reports_usage(provider: Provider) -> bool:
    """Whether the provider takes the request for a stream's usage."""
    return provider.family == "embedded" or host_of(provider.base_url) in _REPORTS_USAGE


def takes_late_instructions(provider: Provider) -> bool:
    """Whether its models take instructions in the middle of a conversation."""
    return _words(provider) == "new"


def unknown_to(provider: Provider) -> tuple[str, ...]:
    """The fields of other APIs that the provider would refuse or ignore."""
    host = host_of(provider.base_url)
    hints = _CACHE_HINTS if host in _NO_CACHE_KEY else ()
    return hints if host in _TAKES_TOP_K or provider.family == "embedded" else (*hints, "top_k")


def takes_cache_marks(provider: Provider) -> bool:
    """Whether the provider takes Anthropic's marks for the cache."""
    return host_of(provider.base_url) == _OPENROUTER


def check_stops(provider: Provider, stop: object) -> None:
    """Raises InvalidRequest for more stops than the provider takes."""
    if not isinstance(stop, list | tuple):
        return
    host = OPENAI if is_openai(provider.base_url) else host_of(provider.base_url)
    most = _MOST_STOPS.get(host, len(stop))
    if len(stop) > most:
        raise InvalidRequest(
            f"stop has {len(stop)} texts; {provider.name} takes at most {most}", field="stop"
        )


def _words(provider: Provider) -> Literal["new", "old", "both"]:
    if provider.family == "embedded" or host_of(provider.base_url) in LOOPBACK:
        return "both"  # local models take either name of the cap
    return "new" if is_openai(provider.base_url) else "old"

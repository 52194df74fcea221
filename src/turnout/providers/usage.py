"""Reads token usage from payloads of OpenAI and compatible providers.

Invariant: an impossible count makes the usage missing; the counts returned are disjoint, and their
sum is what the provider bills. The shapes, with the documents that define them:

- OpenAI chat completions (platform.openai.com/docs/api-reference/chat/object): cached tokens are
  part of ``prompt_tokens``, reasoning tokens are part of ``completion_tokens``.
- DeepSeek (api-docs.deepseek.com/api/create-chat-completion): ``prompt_cache_hit_tokens`` and
  ``prompt_cache_miss_tokens`` add up to ``prompt_tokens``.
- xAI (docs.x.ai, "Consumption and rate limits"): reasoning tokens are *not* in
  ``completion_tokens``, but in ``total_tokens``.
- Gemini's OpenAI endpoint (ai.google.dev/gemini-api/docs/openai): thinking tokens are reported
  only as the part of ``total_tokens`` that is neither prompt nor completion.
- OpenAI Responses (platform.openai.com/docs/api-reference/responses/object): the same counts under
  other names.
- OpenRouter (openrouter.ai/docs/use-cases/usage-accounting): ``cache_write_tokens`` beside
  ``cached_tokens``. Moonshot (platform.moonshot.ai/docs/api/chat): ``cached_tokens`` at the top.
"""

from collections.abc import Mapping
from types import NoneType
from typing import Any

from turnout.core import Usage
from turnout.providers.counts import WrongCount, checked, count, required


def openai_usage(payload: object) -> Usage | None:
    """The usage in disjoint buckets, or None where it is missing, contradictory or garbage."""
    if not isinstance(payload, dict):
        return None
    try:
        return _read(payload)
    except WrongCount:
        return None


# What details are, which may be absent.
_DETAILS = (dict, NoneType)
# The names of the same counts in Responses.
_OF_RESPONSES = (
    ("prompt_tokens", "input_tokens"),
    ("completion_tokens", "output_tokens"),
    ("total_tokens", "total_tokens"),
    ("prompt_tokens_details", "input_tokens_details"),
    ("completion_tokens_details", "output_tokens_details"),
)


def responses_usage(payload: object) -> Usage | None:
    """Like ``openai_usage``, for the usage in OpenAI's Responses."""
    if not isinstance(payload, dict):
        return None
    return openai_usage({name: payload.get(other) for name, other in _OF_RESPONSES})


def _read(payload: Mapping[str, Any]) -> Usage:
    prompt = required(payload, "prompt_tokens")
    completion = required(payload, "completion_tokens")
    of_prompt = payload.get("prompt_tokens_details")
    of_completion = payload.get("completion_tokens_details")
    if not (isinstance(of_prompt, _DETAILS) and isinstance(of_completion, _DETAILS)):
        raise WrongCount
    read, write = _cache(payload, of_prompt, prompt)
    text, reasoning = _output(payload, of_completion, prompt, completion)
    asked = count(of_prompt, "audio_tokens") or 0 if of_prompt else 0
    answered = count(of_completion, "audio_tokens") or 0 if of_completion else 0
    if prompt == 0 or read + write > prompt or asked > prompt or answered > completion:
        raise WrongCount
    return Usage(
        input=prompt - read - write,
        cache_read=read,
        cache_write=write,
        output=text,
        reasoning=reasoning,
        audio_input=asked,
        audio_output=answered,
    )


def _cache(
    payload: Mapping[str, Any], details: Mapping[str, Any] | None, prompt: int
) -> tuple[int, int]:
    """Tokens read from and written to the cache, all of them part of ``prompt``."""
    hit, top = payload.get("prompt_cache_hit_tokens"), payload.get("cached_tokens")
    if details is None and hit is None and top is None:
        return 0, 0
    details = details or {}
    miss = count(payload, "prompt_cache_miss_tokens")
    reports = {checked(v) for v in (details.get("cached_tokens"), hit, top) if v is not None}
    if len(reports) > 1 or (hit is not None and miss is not None and hit + miss != prompt):
        raise WrongCount
    return max(reports, default=0), count(details, "cache_write_tokens") or 0


def _output(
    payload: Mapping[str, Any], details: Mapping[str, Any] | None, prompt: int, completion: int
) -> tuple[int, int]:
    """Text and reasoning tokens; the total tells whether reasoning is part of the completion."""
    total = count(payload, "total_tokens")
    reasoning = count(details, "reasoning_tokens") or 0 if details else 0
    if total is None:
        return (completion - reasoning if reasoning <= completion else completion), reasoning
    rest = total - prompt - completion
    if rest == 0 and reasoning <= completion:
        return completion - reasoning, reasoning
    if rest > 0 and (not reasoning or rest == reasoning):
        return completion, rest
    raise WrongCount

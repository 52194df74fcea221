"""Token usage out of the payloads of providers with an API of their own.

Invariant: as in ``usage``: a number that cannot be right counts as missing, and what is returned
is disjoint. Shapes read, with the documents that define them:

- Anthropic messages (docs.anthropic.com/en/api/messages, "usage"): ``input_tokens`` leaves out
  what was read from and written to the cache; thinking is part of ``output_tokens`` and is not
  told apart. With ``cache_creation`` (docs.anthropic.com/en/docs/build-with-claude/prompt-caching)
  the tokens written are split by how long they live; the split adds up to the whole.
- Gemini (ai.google.dev/api/generate-content#UsageMetadata): ``cachedContentTokenCount`` is part of
  ``promptTokenCount``; ``thoughtsTokenCount`` is beside ``candidatesTokenCount``, and
  ``toolUsePromptTokenCount`` beside the prompt.
"""

from collections.abc import Mapping
from typing import Any

from turnout.core import Usage
from turnout.providers.counts import WrongCount, count, required


def anthropic_usage(payload: object) -> Usage | None:
    """The usage of an Anthropic message, or of a stream's start and delta taken together.

    None where it is missing or garbage.
    """
    if not isinstance(payload, Mapping):
        return None
    try:
        return _anthropic(payload)
    except WrongCount:
        return None


def gemini_usage(payload: object) -> Usage | None:
    """The usage of Gemini's ``usageMetadata``; None where it is missing or contradictory."""
    if not isinstance(payload, Mapping):
        return None
    try:
        return _gemini(payload)
    except WrongCount:
        return None


def _anthropic(payload: Mapping[str, Any]) -> Usage:
    written = count(payload, "cache_creation_input_tokens") or 0
    lives = payload.get("cache_creation")
    if isinstance(lives, Mapping):
        parts = [count(lives, name) or 0 for name in lives]
        if sum(parts) != written:
            raise WrongCount
    return _some(
        Usage(
            input=required(payload, "input_tokens"),
            cache_read=count(payload, "cache_read_input_tokens") or 0,
            cache_write=written,
            output=required(payload, "output_tokens"),
        )
    )


def _gemini(payload: Mapping[str, Any]) -> Usage:
    prompt = required(payload, "promptTokenCount")
    tools = count(payload, "toolUsePromptTokenCount") or 0
    cached = count(payload, "cachedContentTokenCount") or 0
    text = count(payload, "candidatesTokenCount") or 0
    thought = count(payload, "thoughtsTokenCount") or 0
    total = count(payload, "totalTokenCount")
    if cached > prompt or (total is not None and total != prompt + tools + text + thought):
        raise WrongCount
    return _some(
        Usage(input=prompt - cached + tools, cache_read=cached, output=text, reasoning=thought)
    )


def _some(usage: Usage) -> Usage:
    if not usage.total_input:
        raise WrongCount  # no call is without a prompt
    return usage

"""Usage payloads of providers with an API of their own, each with the document it is from."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.core import Usage
from turnout.providers.native_usage import anthropic_usage, gemini_usage

ANTHROPIC: list[tuple[str, dict[str, Any], Usage]] = [
    (
        "docs.anthropic.com/en/api/messages",
        {"input_tokens": 2095, "output_tokens": 503},
        Usage(input=2095, output=503),
    ),
    (
        "docs.anthropic.com/en/docs/build-with-claude/prompt-caching: a first call writes",
        {
            "input_tokens": 21,
            "cache_creation_input_tokens": 188086,
            "cache_read_input_tokens": 0,
            "output_tokens": 393,
        },
        Usage(input=21, cache_write=188086, output=393),
    ),
    (
        "docs.anthropic.com/en/docs/build-with-claude/prompt-caching: a second call reads",
        {
            "input_tokens": 21,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 188086,
            "output_tokens": 393,
        },
        Usage(input=21, cache_read=188086, output=393),
    ),
    (
        "docs.anthropic.com/en/docs/build-with-claude/prompt-caching: two lifetimes",
        {
            "input_tokens": 2048,
            "cache_read_input_tokens": 1800,
            "cache_creation_input_tokens": 248,
            "output_tokens": 503,
            "cache_creation": {
                "ephemeral_5m_input_tokens": 148,
                "ephemeral_1h_input_tokens": 100,
            },
        },
        Usage(input=2048, cache_read=1800, cache_write=248, output=503),
    ),
]
GEMINI: list[tuple[str, dict[str, Any], Usage]] = [
    (
        "ai.google.dev/api/generate-content#UsageMetadata",
        {"promptTokenCount": 8, "candidatesTokenCount": 12, "totalTokenCount": 20},
        Usage(input=8, output=12),
    ),
    (
        "ai.google.dev/gemini-api/docs/thinking: thoughts are beside the candidates",
        {
            "promptTokenCount": 30,
            "candidatesTokenCount": 100,
            "thoughtsTokenCount": 250,
            "totalTokenCount": 380,
        },
        Usage(input=30, output=100, reasoning=250),
    ),
    (
        "ai.google.dev/gemini-api/docs/caching: cached content is part of the prompt",
        {
            "promptTokenCount": 696219,
            "cachedContentTokenCount": 696190,
            "candidatesTokenCount": 214,
            "totalTokenCount": 696433,
        },
        Usage(input=29, cache_read=696190, output=214),
    ),
    (
        "ai.google.dev/api/generate-content#UsageMetadata: tool results are read as well",
        {
            "promptTokenCount": 10,
            "toolUsePromptTokenCount": 40,
            "candidatesTokenCount": 5,
            "totalTokenCount": 55,
        },
        Usage(input=50, output=5),
    ),
]


@pytest.mark.parametrize(("source", "payload", "usage"), ANTHROPIC, ids=[s[0] for s in ANTHROPIC])
def test_anthropic(source: str, payload: dict[str, Any], usage: Usage) -> None:
    """Each documented payload gives its buckets."""
    assert source
    assert anthropic_usage(payload) == usage


@pytest.mark.parametrize(("source", "payload", "usage"), GEMINI, ids=[s[0] for s in GEMINI])
def test_gemini(source: str, payload: dict[str, Any], usage: Usage) -> None:
    """Each documented payload gives its buckets, which add up to the total."""
    assert source
    found = gemini_usage(payload)
    assert found == usage
    assert found.total_input + found.total_output == payload["totalTokenCount"]


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        {},
        {"input_tokens": 0, "output_tokens": 5},
        {"input_tokens": -1, "output_tokens": 5},
        {"input_tokens": True, "output_tokens": 5},
        {"input_tokens": "9", "output_tokens": 5},
        {"input_tokens": 9},
        {"input_tokens": 9, "output_tokens": 10**12},
        {
            "input_tokens": 9,
            "output_tokens": 1,
            "cache_creation_input_tokens": 5,
            "cache_creation": {"ephemeral_5m_input_tokens": 4},
        },
    ],
)
def test_what_anthropic_cannot_mean_is_missing(payload: object) -> None:
    """A wrong count is no count: better an estimate that says so."""
    assert anthropic_usage(payload) is None


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        {"promptTokenCount": 0, "candidatesTokenCount": 1},
        {"promptTokenCount": 5, "cachedContentTokenCount": 6},
        {"promptTokenCount": 5, "candidatesTokenCount": 1, "totalTokenCount": 1},
    ],
)
def test_what_gemini_cannot_mean_is_missing(payload: object) -> None:
    """A total that does not add up, or more cached than read, is no usage."""
    assert gemini_usage(payload) is None


_NAMES = st.sampled_from(
    [
        "input_tokens",
        "output_tokens",
        "cache_creation",
        "promptTokenCount",
        "candidatesTokenCount",
        "totalTokenCount",
    ]
)
_LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


@given(st.recursive(_LEAVES, lambda inner: st.dictionaries(_NAMES, inner) | st.lists(inner)))
def test_no_payload_breaks_the_readers(payload: object) -> None:
    """Whatever comes, the answer is a usage without negative counts, or None."""
    for read in (anthropic_usage, gemini_usage):
        usage = read(payload)
        assert usage is None or min(usage.input, usage.output, usage.cache_read) >= 0

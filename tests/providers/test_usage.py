"""Usage payloads of providers, each shape with the public document it is from."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.core import Usage
from turnout.providers.usage import openai_usage

SHAPES: list[tuple[str, dict[str, Any], Usage]] = [
    (
        "OpenAI, platform.openai.com/docs/api-reference/chat/object",
        {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29},
        Usage(input=19, output=10),
    ),
    (
        "OpenAI, platform.openai.com/docs/guides/prompt-caching",
        {
            "prompt_tokens": 2006,
            "completion_tokens": 300,
            "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 64,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        Usage(input=86, cache_read=1920, output=236, reasoning=64),
    ),
    (
        "OpenAI, platform.openai.com/docs/guides/audio: sound has a price of its own",
        {
            "prompt_tokens": 30,
            "completion_tokens": 200,
            "total_tokens": 230,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0, "text_tokens": 30},
            "completion_tokens_details": {"audio_tokens": 160, "text_tokens": 40},
        },
        Usage(input=30, output=200, audio_output=160),
    ),
    (
        "DeepSeek, api-docs.deepseek.com/guides/kv_cache",
        {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "prompt_cache_hit_tokens": 64,
            "prompt_cache_miss_tokens": 36,
            "prompt_tokens_details": {"cached_tokens": 64},
        },
        Usage(input=36, cache_read=64, output=20),
    ),
    (
        "DeepSeek reasoner, api-docs.deepseek.com/guides/reasoning_model",
        {
            "prompt_tokens": 12,
            "completion_tokens": 90,
            "total_tokens": 102,
            "prompt_cache_hit_tokens": 0,
            "prompt_cache_miss_tokens": 12,
            "completion_tokens_details": {"reasoning_tokens": 70},
        },
        Usage(input=12, output=20, reasoning=70),
    ),
    (
        "xAI, docs.x.ai/docs/guides/reasoning: reasoning is not in completion_tokens",
        {
            "prompt_tokens": 32,
            "completion_tokens": 9,
            "total_tokens": 135,
            "prompt_tokens_details": {"text_tokens": 32, "cached_tokens": 6},
            "completion_tokens_details": {"reasoning_tokens": 94},
        },
        Usage(input=26, cache_read=6, output=9, reasoning=94),
    ),
    (
        "xAI with less reasoning than text: the total still tells",
        {
            "prompt_tokens": 20,
            "completion_tokens": 7,
            "total_tokens": 30,
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
        Usage(input=20, output=7, reasoning=3),
    ),
    (
        "Gemini's OpenAI endpoint, ai.google.dev/gemini-api/docs/openai: thinking in the total",
        {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623},
        Usage(input=20, output=198, reasoning=405),
    ),
    (
        "OpenRouter, openrouter.ai/docs/use-cases/usage-accounting",
        {
            "prompt_tokens": 194,
            "completion_tokens": 2,
            "total_tokens": 196,
            "cost": 0.95,
            "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 50},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        Usage(input=44, cache_read=100, cache_write=50, output=2),
    ),
    (
        "Moonshot, platform.moonshot.ai/docs/api/chat",
        {
            "prompt_tokens": 19,
            "completion_tokens": 21,
            "total_tokens": 40,
            "cached_tokens": 10,
        },
        Usage(input=9, cache_read=10, output=21),
    ),
    (
        "Groq, console.groq.com/docs/api-reference: times beside the counts",
        {
            "queue_time": 0.03,
            "prompt_tokens": 18,
            "prompt_time": 0.0005,
            "completion_tokens": 556,
            "completion_time": 0.46,
            "total_tokens": 574,
            "total_time": 0.46,
        },
        Usage(input=18, output=556),
    ),
    (
        "Runcrate, runcrate.ai/docs/api-reference/chat/chat-llm-completion",
        {"prompt_tokens": 25, "completion_tokens": 8, "total_tokens": 33},
        Usage(input=25, output=8),
    ),
    (
        "vLLM, docs.vllm.ai: null details",
        {
            "prompt_tokens": 5,
            "completion_tokens": 0,
            "total_tokens": 5,
            "prompt_tokens_details": None,
            "completion_tokens_details": {"reasoning_tokens": None},
        },
        Usage(input=5),
    ),
]


@pytest.mark.parametrize(("document", "payload", "usage"), SHAPES, ids=[s[0] for s in SHAPES])
def test_each_documented_shape_is_read_exactly(
    document: str, payload: dict[str, Any], usage: Usage
) -> None:
    """The buckets are those of the provider's own document."""
    assert openai_usage(payload) == usage, document


_GOOD = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "12",
        [],
        {},
        {**_GOOD, "prompt_tokens": None},
        {**_GOOD, "prompt_tokens": -1},
        {**_GOOD, "prompt_tokens": 0},
        {**_GOOD, "prompt_tokens": "100"},
        {**_GOOD, "prompt_tokens": True},
        {**_GOOD, "prompt_tokens": 100.5},
        {**_GOOD, "prompt_tokens": 10**12},
        {**_GOOD, "completion_tokens": -50},
        {**_GOOD, "completion_tokens": None},
        {**_GOOD, "total_tokens": 149},
        {**_GOOD, "total_tokens": -1},
        {**_GOOD, "prompt_tokens_details": 3},
        {**_GOOD, "prompt_tokens_details": {"cached_tokens": 101}},
        {**_GOOD, "prompt_tokens_details": {"cached_tokens": -1}},
        {**_GOOD, "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 60}},
        {**_GOOD, "prompt_cache_hit_tokens": 60, "prompt_cache_miss_tokens": 60},
        {**_GOOD, "prompt_cache_hit_tokens": 60, "prompt_tokens_details": {"cached_tokens": 1}},
        {**_GOOD, "completion_tokens_details": {"reasoning_tokens": 51}},
        {**_GOOD, "total_tokens": 170, "completion_tokens_details": {"reasoning_tokens": 10}},
    ],
)
def test_what_cannot_be_right_counts_as_missing(wrong: object) -> None:
    """Negative, null, contradictory and absurd counts give no usage rather than a wrong one."""
    assert openai_usage(wrong) is None


_COUNT = st.sampled_from([None, -1, 0, 1, 2, 3, 1.5, float("nan"), "2", True, 10**30])
_DETAILS = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(["cached_tokens", "cache_write_tokens", "reasoning_tokens"]), _COUNT
    ),
)


_TOKENS = st.integers(0, 10**6)
_STYLES = st.sampled_from(["openai", "deepseek", "xai"])


@given(
    fresh=st.integers(1, 10**6), cached=_TOKENS, output=_TOKENS, reasoning=_TOKENS, style=_STYLES
)
def test_every_dialect_says_the_same(
    fresh: int, cached: int, output: int, reasoning: int, style: str
) -> None:
    """One call reported in OpenAI's, DeepSeek's and xAI's way is the same usage."""
    payload = {
        "prompt_tokens": fresh + cached,
        "completion_tokens": output + (0 if style == "xai" else reasoning),
        "total_tokens": fresh + cached + output + reasoning,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    if style == "deepseek":
        payload |= {"prompt_cache_hit_tokens": cached, "prompt_cache_miss_tokens": fresh}
    else:
        payload |= {"prompt_tokens_details": {"cached_tokens": cached}}
    expected = Usage(input=fresh, cache_read=cached, output=output, reasoning=reasoning)
    assert openai_usage(payload) == expected


@given(
    payload=st.fixed_dictionaries(
        {},
        optional={
            "prompt_tokens": _COUNT,
            "completion_tokens": _COUNT,
            "total_tokens": _COUNT,
            "cached_tokens": _COUNT,
            "prompt_cache_hit_tokens": _COUNT,
            "prompt_cache_miss_tokens": _COUNT,
            "prompt_tokens_details": _DETAILS,
            "completion_tokens_details": _DETAILS,
        },
    )
)
def test_buckets_are_disjoint_and_add_up(payload: dict[str, Any]) -> None:
    """Whatever the payload, usage that is returned adds up to the provider's own totals."""
    usage = openai_usage(payload)
    if usage is None:
        return
    buckets = (usage.input, usage.cache_read, usage.cache_write, usage.output, usage.reasoning)
    assert min(buckets) >= 0
    assert usage.total_input == payload["prompt_tokens"]
    if payload.get("total_tokens") is not None:
        assert sum(buckets) == payload["total_tokens"]
    assert not usage.estimated

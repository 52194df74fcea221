"""Usage payloads of Anthropic, each with the document it is from."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.core import Chunk, Usage
from turnout.core.hosted import is_paid_by_call
from turnout.providers.anthropic_stream import AnthropicStreamDecoder
from turnout.providers.anthropic_usage import anthropic_usage

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
        Usage(input=2048, cache_read=1800, cache_write=248, output=503, hour_cache=True),
    ),
    (
        "docs.anthropic.com/en/docs/build-with-claude/extended-thinking: thinking is counted",
        {
            "input_tokens": 9,
            "output_tokens": 503,
            "output_tokens_details": {"thinking_tokens": 400},
        },
        Usage(input=9, output=103, reasoning=400),
    ),
    (
        "docs.anthropic.com/en/docs/agents-and-tools/tool-use/web-search-tool",
        {
            "input_tokens": 105,
            "output_tokens": 6039,
            "cache_read_input_tokens": 7123,
            "cache_creation_input_tokens": 7345,
            "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 3},
        },
        Usage(input=105, cache_read=7123, cache_write=7345, output=6039, searches=1),
    ),
    (
        "platform.claude.com/docs/en/build-with-claude/compaction: a summary is not in the counts",
        {
            "input_tokens": 23_000,
            "output_tokens": 1000,
            "iterations": [
                {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3500},
                {"type": "message", "input_tokens": 23_000, "output_tokens": 1000},
            ],
        },
        Usage(input=203_000, output=4500),
    ),
    (
        "platform.claude.com/docs (server-side fallback): what another model did has its price",
        {
            "input_tokens": 20,
            "output_tokens": 10,
            "iterations": [
                {"type": "message", "input_tokens": 20, "output_tokens": 1},
                {"type": "fallback_message", "model": "b", "input_tokens": 20, "output_tokens": 9},
            ],
        },
        Usage(input=20, output=10, unpriced=True),
    ),
]


@pytest.mark.parametrize(("source", "payload", "usage"), ANTHROPIC, ids=[s[0] for s in ANTHROPIC])
def test_anthropic(source: str, payload: dict[str, Any], usage: Usage) -> None:
    """Each documented payload gives its buckets."""
    assert source
    assert anthropic_usage(payload) == usage


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
        {"input_tokens": 9, "output_tokens": 1, "cache_creation_input_tokens": -5},
        {"input_tokens": 9, "output_tokens": 1, "output_tokens_details": {"thinking_tokens": 2}},
        {"input_tokens": 9, "output_tokens": 1, "iterations": [{"type": "compaction"}]},
        {"input_tokens": 9, "output_tokens": 1, "server_tool_use": {"web_search_requests": -1}},
    ],
)
def test_what_anthropic_cannot_mean_is_missing(payload: object) -> None:
    """A wrong count is no count: better an estimate that says so."""
    assert anthropic_usage(payload) is None


_NAMES = st.sampled_from(
    [
        "input_tokens",
        "output_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
    ]
)
_LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


@given(st.recursive(_LEAVES, lambda inner: st.dictionaries(_NAMES, inner) | st.lists(inner)))
def test_no_payload_breaks_the_reader(payload: object) -> None:
    """Whatever comes, the answer is a usage without negative counts, or None."""
    usage = anthropic_usage(payload)
    assert usage is None or min(usage.input, usage.output, usage.cache_read) >= 0


def test_a_streams_end_replaces_what_its_start_said() -> None:
    """The start has the prompt and one token of output, the delta the whole output."""
    start = {"input_tokens": 25, "cache_read_input_tokens": 7, "output_tokens": 1}
    assert anthropic_usage(start, {"output_tokens": 15}, None) == Usage(
        input=25, cache_read=7, output=15
    )
    assert anthropic_usage(start, {"output_tokens": -1}) is None


def test_a_stream_that_never_counted_its_answer_has_no_usage() -> None:
    """What it begins with is a placeholder: taken as a count, the answer would be nearly free."""
    start = {"message": {"usage": {"input_tokens": 9, "output_tokens": 1}}, "type": "message_start"}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    for usage, expected in (({}, None), (None, None), ({"output_tokens": 0}, Usage(input=9))):
        events = [start, {**end, "usage": usage}, {"type": "message_stop"}]
        data = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
        chunks = list(AnthropicStreamDecoder(mark="m").feed(data.encode()))
        found = [c.usage for c in chunks if isinstance(c, Chunk) and c.usage]
        assert found == ([expected] if expected else [])


def test_a_tool_that_runs_there_shows_that_it_goes_on() -> None:
    """A search may come before the first word, and take longer than two words lie apart."""
    events: list[dict[str, Any]] = [
        {"content_block": {"type": "server_tool_use", "name": "web_search", "input": {}}},
        {"delta": {"type": "input_json_delta", "partial_json": '{"query": "x"}'}},
        {"content_block": {"type": "web_search_tool_result", "content": []}, "index": 1},
    ]
    decoder = AnthropicStreamDecoder(mark="m")
    for event in events:
        kind = f"content_block_{'delta' if 'delta' in event else 'start'}"
        data = json.dumps({"type": kind, "index": 0, **event})
        (chunk,) = decoder.feed(f"data: {data}\n\n".encode())
        assert isinstance(chunk, Chunk)
        assert chunk.has_content
        assert not is_paid_by_call(chunk.deltas[0].hosted)

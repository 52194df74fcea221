"""Features are facts, read off any checked body."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worlds import request
from turnout.core import Request
from turnout.features import count_tokens, extract
from turnout.features.tokens import tokenizer

TOKENIZERS = ("o200k_base", "deepseek_v3", "qwen3")


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_extraction_is_total_and_deterministic(text: str) -> None:
    """Any text has features, and always the same."""
    first = extract(request(text), TOKENIZERS)
    assert first == extract(request(text), TOKENIZERS)
    assert first.characters == len(text)


def test_each_model_family_counts_by_its_own_tokenizer() -> None:
    """Counts are exact token counts plus a fixed overhead a message."""
    found = extract(request("你好，世界 hello"), TOKENIZERS).input_tokens
    for name in TOKENIZERS:
        assert found[name] == 4 + count_tokens(["你好，世界 hello"], name)


def test_tools_images_and_json_are_seen() -> None:
    """What the model must be able to do is in the features; image bytes are not text."""
    body: dict[str, Any] = {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what is this"},
                    {"type": "image_url", "image_url": {"url": "data:" + "A" * 9000}},
                ],
            }
        ],
        "tools": [{"type": "function", "function": {"name": "look_up", "parameters": {}}}],
        "response_format": {"type": "json_object"},
        "max_tokens": 50,
    }
    found = extract(Request(id="r", body=body), ("o200k_base",))
    assert found.modalities == {"text", "image"}
    assert found.needs_tools
    assert found.needs_json
    assert found.output_tokens == 50
    assert 1410 < found.input_tokens["o200k_base"] < 1460


@pytest.mark.parametrize(
    ("picture", "tokens"),
    [
        ({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}, 1400),
        ({"type": "image_url", "image_url": {"url": "data:,", "detail": "low"}}, 85),
        ({"type": "image_url", "image_url": "https://a.example/b.png"}, 1400),
        ({"type": "file", "file": {"file_data": "data:,"}}, 1500),
    ],
)
def test_pictures_count_by_their_number(picture: dict[str, Any], tokens: int) -> None:
    """Else a budget's hold, and whether a prompt fits, would leave them out."""
    text = {"type": "text", "text": "what is this"}
    bare, seen = (
        extract(
            Request(id="r", body={"messages": [{"role": "user", "content": parts}]}), TOKENIZERS
        ).input_tokens["qwen3"]
        for parts in ([text], [text, picture, picture])
    )
    assert seen - bare == 2 * tokens


def test_tool_calls_and_results_count_as_prompt() -> None:
    """Every string that the model will read is counted."""
    bare = extract(request("hi"), ("o200k_base",)).input_tokens["o200k_base"]
    call = {"id": "1", "function": {"name": "f", "arguments": '{"q": "a long question indeed"}'}}
    body = {
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "a long answer indeed"},
        ]
    }
    full = extract(Request(id="r", body=body), ("o200k_base",)).input_tokens["o200k_base"]
    assert full > bare + 15


@pytest.mark.parametrize(
    ("part", "lasts"), [({}, False), ({"ttl": "5m"}, False), ({"ttl": "1h"}, True)]
)
def test_a_cache_of_an_hour_is_seen_in_either_form(part: dict[str, str], *, lasts: bool) -> None:
    """It is dearer to write, which a hold must cover."""
    marked = {"type": "text", "text": "1h is an hour", "cache_control": {**part}}
    messages = [{"role": "user", "content": [marked]}]
    plain = {"messages": [{"role": "user", "content": "1h is an hour"}]}
    chat = Request(id="r", body={"messages": messages})
    native = Request(id="r", body=plain, native={"messages": messages}, dialect="messages")
    assert extract(chat, ["o200k_base"]).hour_cache == lasts
    assert extract(native, ["o200k_base"]).hour_cache == lasts
    assert not extract(Request(id="r", body=plain), ["o200k_base"]).hour_cache


WORD = st.text(st.sampled_from("abcXY.,'1é好\n"), min_size=1, max_size=12)


@given(words=st.lists(WORD, min_size=1, max_size=60))
def test_a_very_long_text_is_counted_in_pieces(words: list[str]) -> None:
    """Cut before a blank behind a letter, it comes to the same; else to a few tokens more a piece.

    A blank between two line ends is a token with both.
    """
    spaced = " ".join(f"{word}x" for word in words)
    for text, most in ((spaced, 0), (" ".join(words), 3), ("".join(words), 3)):
        whole = [len(tokenizer(name).encode(text)) for name in TOKENIZERS]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("turnout.features.tokens._LONG_CHARACTERS", 0)
            patch.setattr("turnout.features.tokens._PIECE_CHARACTERS", 30)
            patch.setattr("turnout.features.tokens._LONG_COUNTS", {})
            pieces = [count_tokens([text], name) for name in TOKENIZERS]
        more = most * (len(text) // 30)
        assert all(abs(p - w) <= more for p, w in zip(pieces, whole, strict=True))

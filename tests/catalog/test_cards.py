"""What is known of a model without being told."""

import pytest

from tests.catalog.test_prices import only

SENSES = {
    "gpt-4o-mini": {"text", "image", "file"},
    "gpt-4.1": {"text", "image", "file"},
    "gpt-5-codex": {"text", "image", "file"},
    "o3": {"text", "image", "file"},
    "o4-mini": {"text", "image", "file"},
    "o3-mini": {"text"},
    "gpt-4o-audio-preview": {"text", "audio"},
    "gpt-3.5-turbo": {"text"},
    "openai/gpt-oss-120b": {"text"},
    "claude-sonnet-4-5": {"text", "image", "file"},
    "anthropic/claude-3.5-haiku": {"text", "image", "file"},
    "claude-2.1": {"text"},
    "google/gemini-2.5-flash": {"text", "image", "audio", "video", "file"},
    "Qwen/Qwen2.5-VL-72B-Instruct": {"text", "image", "video"},
    "qwen3-vl": {"text", "image", "video"},
    "meta-llama/Llama-4-Scout": {"text", "image"},
    "deepseek-ai/DeepSeek-V3.2": {"text"},
    "proto1": {"text"},
}


@pytest.mark.parametrize("model", SENSES)
def test_models_that_see_are_known_by_their_names(model: str) -> None:
    """A client that sends pictures to a model by its usual name loses nothing."""
    card = only({"model": model, "price": "unknown"}, provider="openrouter").card
    assert card.modalities == SENSES[model]


def test_what_the_configuration_says_of_a_model_counts() -> None:
    """A list, an empty one too, takes the name's place."""
    for said in ([], ["audio"]):
        model = {"model": "gpt-4o", "price": "unknown", "modalities": said}
        assert only(model, provider="openai").card.modalities == {"text", *said}


@pytest.mark.parametrize(
    ("model", "provider", "window"),
    [
        ("claude-sonnet-4-5", "anthropic", 200_000),
        ("gpt-5", "openai", 400_000),
        ("gpt-4o", "openai", 128_000),
        ("deepseek-chat", "deepseek", 128_000),  # the list has 64,000, which it had outgrown
    ],
)
def test_windows_beyond_the_usual_are_those_of_the_price_list(
    model: str, provider: str, window: int
) -> None:
    """Where the price comes from there the window does, unless the configuration has one."""
    assert only(model, provider=provider).card.context_window == window
    own = {"model": model, "context_window": 5000}
    assert only(own, provider=provider).card.context_window == 5000

"""Prices are exact, dated, and never zero by accident."""

from dataclasses import replace
from typing import Any

import pytest

from turnout.catalog import Deployment, Price, Rates, build
from turnout.catalog.book import catalogue_price
from turnout.config import load_mapping
from turnout.core import ConfigError, Usage


def only(model: dict[str, Any] | str, **more: Any) -> Deployment:
    """The single deployment of a configuration."""
    config = load_mapping({"models": {"m": model}, "default": "m", **more}, {})
    return build(config, {}).deployments["m"]


def test_the_recipes_prices_are_the_documented_ones() -> None:
    """DeepSeek V3.2 0.27/0.40, Claude 4 Sonnet 3/15 and Qwen3 Coder 0.30/1.00, two assumed."""
    found = {}
    for model in (
        "deepseek-ai/DeepSeek-V3.2",
        "anthropic/claude-4-sonnet",
        "Qwen/Qwen3-Coder-480B-A35B-Instruct-Turbo",
    ):
        price = only(model, provider="runcrate").price
        assert price is not None
        found[model] = (price.rates.input, price.rates.output, price.assumed)
        assert price.source
        assert price.date
    assert list(found.values()) == [
        (270_000, 400_000, False),
        (3_000_000, 15_000_000, True),
        (300_000, 1_000_000, True),
    ]


@pytest.mark.parametrize("read", [None, 1, 5])
@pytest.mark.parametrize("written", [None, 1, 4])
def test_no_cache_makes_a_call_dearer_than_the_most_it_can_cost(
    read: int | None, written: int | None
) -> None:
    """Also where tokens from a cache cost more than fresh ones."""
    rates = Rates(input=3, output=2, cache_read=read, cache_write=written)
    price = Price(rates=rates, source="s", date="d")
    splits = ((100, 0, 0), (0, 100, 0), (0, 0, 100), (10, 40, 50))
    costs = [
        price.cost(Usage(input=fresh, cache_read=hit, cache_write=new, output=7))
        for fresh, hit, new in splits
    ]
    assert price.most_cost(100, 7) == max(costs)


def test_cached_tokens_are_billed_once_each_at_their_own_rate() -> None:
    """10,000 in, 8,000 of them read and 1,000 written, 1,000 out at Sonnet's rates: $0.02415."""
    rates = Rates(input=3_000_000, output=15_000_000, cache_read=300_000, cache_write=3_750_000)
    usage = Usage(input=1_000, cache_read=8_000, cache_write=1_000, output=600, reasoning=400)
    assert rates.cost(usage) == 24_150_000_000


def test_a_cache_class_without_a_rate_costs_as_plain_input() -> None:
    """Unknown is the worst case."""
    assert Rates(input=5, output=1).cost(Usage(cache_read=2, cache_write=3)) == 25


def test_a_long_prompt_is_billed_by_its_tier() -> None:
    """Above the threshold the whole call costs the tier's rates, at it the base's."""
    price = Price(
        rates=Rates(input=1, output=1),
        tiers=((200, Rates(input=2, output=3)),),
        source="s",
        date="d",
    )
    assert price.cost(Usage(input=200, output=10)) == 210
    assert price.cost(Usage(input=201, output=10)) == 432


def test_searches_and_sound_have_a_price_of_their_own_or_an_unknown_one() -> None:
    """Searches by the piece; sound in place of the same tokens as text."""
    known = Price(
        rates=Rates(input=2, output=3),
        source="s",
        date="d",
        search=100,
        audio_input=10,
        audio_output=20,
    )
    assert known.bill(Usage(input=5, output=4)) == 22
    assert known.bill(Usage(input=5, output=4, searches=2)) == 222
    assert known.bill(Usage(input=5, output=4, audio_input=5, audio_output=1)) == 50 + 3 * 3 + 20
    unknown = replace(known, search=None, audio_input=None, audio_output=None)
    assert unknown.bill(Usage(input=5, output=4)) == 22
    for usage in (
        Usage(searches=1),
        Usage(audio_input=1),
        Usage(audio_output=1),
        Usage(unpriced=True),
    ):
        assert unknown.bill(usage) is None
        assert not usage.is_empty


def test_the_catalogue_knows_searches_and_sound() -> None:
    """Anthropic's searches are $10 a thousand; sound costs a multiple of text."""
    sonnet = catalogue_price("claude-sonnet-4-5", "anthropic", "")
    audio = catalogue_price("gpt-audio", "openai", "")
    assert sonnet is not None
    assert audio is not None
    assert (sonnet.search, sonnet.audio_input) == (10**10, None)
    assert (audio.audio_input or 0) > 10 * audio.rates.input
    assert (audio.audio_output or 0) > 5 * audio.rates.output


def test_a_price_of_ones_own_may_say_them() -> None:
    """In dollars for a thousand searches, and for a million tokens of sound."""
    price = {"input": 1, "output": 2, "searches": 10, "audio_input": 4, "audio_output": 8}
    model = {"model": "m", "price": price}
    found = only(model, provider="p", providers={"p": {"base_url": "http://127.0.0.1:9/v1"}}).price
    assert found is not None
    assert (found.search, found.audio_input, found.audio_output) == (10**10, 4_000_000, 8_000_000)


def test_the_catalogue_knows_tiers_and_takes_a_clock_price_at_its_dearest() -> None:
    """Sonnet 4.5 has a tier above 200k; DeepSeek's off-peak price is not assumed."""
    sonnet = catalogue_price("claude-sonnet-4-5", "anthropic", "")
    chat = catalogue_price("deepseek-chat", "deepseek", "")
    assert sonnet is not None
    assert chat is not None
    assert sonnet.rates_for(300_000).input == 6_000_000
    assert chat.rates.output == 1_100_000
    assert sonnet.source.startswith("genai-prices ")


def test_a_model_without_a_price_is_refused_unless_declared_unknown() -> None:
    """Nothing is billed at zero: no price is an error, declared unknown is None."""
    providers = {"p": {"base_url": "http://127.0.0.1:9/v1"}}
    with pytest.raises(ConfigError, match="no known price; in models, give it 'price:"):
        only("gpt-4o-mini", provider="p", providers=providers)
    model = {"model": "gpt-4o-mini", "price": "unknown"}
    assert only(model, provider="p", providers=providers).price is None


def test_a_model_id_is_recognised_in_any_spelling() -> None:
    """The provider's two spellings of one model resolve to the same id."""
    assert only("deepseek/deepseek-V3.2", provider="runcrate").model == "deepseek-ai/DeepSeek-V3.2"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"provider": "nowhere"}, "unknown provider"),
        ({"providers": {"x": {"preset": "nope"}}, "provider": "x"}, "'nope' is unknown"),
    ],
)
def test_an_unknown_provider_names_the_ones_there_are(more: dict[str, Any], message: str) -> None:
    """The fix is in the line."""
    with pytest.raises(ConfigError, match=message):
        only("m", **more)


def test_the_recipes_own_example_adds_up() -> None:
    """500 tokens in and 900 out, 15 % of them creative, with one label asked for each time.

    The recipe says about $0.003 a request and 60-80 % saved.
    """
    strong = only("anthropic/claude-4-sonnet", provider="runcrate").price
    cheap = only("deepseek-ai/DeepSeek-V3.2", provider="runcrate").price
    assert strong is not None
    assert cheap is not None
    dear, low = strong.expected_cost(500, 900), cheap.expected_cost(500, 900)
    assert (dear, low) == (15_000_000_000, 495_000_000)
    label = cheap.expected_cost(250, 4)
    routed = (15 * dear + 85 * low) // 100 + label
    assert 0.0025e12 < routed < 0.003e12
    assert 0.80 < 1 - routed / dear < 0.83


def test_what_is_cached_for_an_hour_costs_twice_a_fresh_token() -> None:
    """1,000 written at Sonnet's rates: $0.00375 for five minutes, $0.006 for an hour."""
    sonnet = Price(
        rates=Rates(input=3_000_000, output=15_000_000, cache_read=300_000, cache_write=3_750_000),
        tiers=((200_000, Rates(input=6_000_000, output=22_500_000)),),
        source="test",
        date="2026-11-28",
    )
    short, long = (Usage(cache_write=1000, hour_cache=hour_cache) for hour_cache in (False, True))
    assert sonnet.cost(short) == 3_750_000_000
    assert sonnet.cost(long) == sonnet.with_hour_cache().cost(long) == 6_000_000_000
    assert sonnet.cost(Usage(cache_write=300_000, hour_cache=True)) == 300_000 * 12_000_000


def test_a_price_of_ones_own_leaves_searches_as_they_are_listed() -> None:
    """Whose rates for text were agreed with the provider still pays its searches by the list."""
    model = {"model": "claude-sonnet-4-5", "price": {"input": 1, "output": 2}}
    anthropic = {"base_url": "https://api.anthropic.com/v1", "family": "anthropic"}
    found = only(model, provider="p", providers={"p": anthropic}).price
    elsewhere = only(model, provider="p", providers={"p": {"base_url": "http://127.0.0.1:9/v1"}})
    assert found is not None
    assert elsewhere.price is not None
    assert (found.rates.input, found.search) == (1_000_000, 10**10)
    assert elsewhere.price.search is None

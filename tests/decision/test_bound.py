"""The most that a call can use: what a budget must have room for, to the token and the cent."""

from dataclasses import replace
from typing import Any

import pytest

from tests.worlds import deployment, features, price, request
from turnout.catalog import Deployment, ModelCard
from turnout.decision import bound, lowered_cap
from turnout.decision.bound import input_tokens

WINDOW = 128_000


@pytest.mark.parametrize(
    ("body", "card", "answer"),
    [
        ({}, {}, WINDOW - 800),
        ({}, {"max_output": 5000}, 5000),
        ({"max_tokens": 700}, {"max_output": 5000}, 700),
        ({"max_tokens": 7000}, {"max_output": 5000}, 5000),
        ({"max_tokens": 10**6}, {}, WINDOW - 800),
        ({"max_tokens": 700, "n": 3}, {}, 2100),
        ({}, {"context_window": 500}, 0),
        ({}, {"kind": "embedding"}, 0),
    ],
)
def test_a_call_is_held_for_its_longest_answer(
    body: dict[str, Any], card: dict[str, Any], answer: int
) -> None:
    """As long as the caller's cap, the model and its window allow; the prompt with a margin."""
    place = deployment("strong", price(3, 15), **{"context_window": WINDOW} | card)
    prompt = 800 + 100 + 64
    most = bound(request(**body), features(800), place)
    assert most.tokens == prompt + answer
    assert most.cost_pico_usd == prompt * 3_000_000 + answer * 15_000_000


@pytest.mark.parametrize(("uncounted", "prompt"), [(0, 964), (5000, 5964), (None, WINDOW)])
def test_files_are_held_at_what_they_may_be(uncounted: int | None, prompt: int) -> None:
    """One of unknown length may fill the window, and no more."""
    place = deployment("strong", price(3, 15), context_window=WINDOW, max_output=10)
    assert bound(request(), features(800, uncounted=uncounted), place).tokens == prompt + 10


@pytest.mark.parametrize(("factor", "tokens"), [(1, 801), (1.35, 1082), (0.5, 401)])
def test_tokens_of_another_tokenizer_are_rounded_up(factor: float, tokens: int) -> None:
    """A model whose tokenizer is not public has a factor to one that is."""
    assert input_tokens(features(801), deployment("m", None, token_factor=factor)) == tokens


def test_an_unknown_price_fits_no_budget() -> None:
    """The tokens are known all the same."""
    most = bound(request(max_tokens=10), features(800), deployment("m", None))
    assert (most.cost_pico_usd, most.tokens) == (None, 974)


def test_a_hold_covers_a_cache_that_lasts_an_hour() -> None:
    """At Anthropic, where writing for an hour costs twice a fresh token; elsewhere nothing does."""
    here = deployment("strong", price(3, 15), max_output=5000)
    claude = replace(here, provider=replace(here.provider, family="anthropic"))
    holds = {
        (place.provider.family, hour_cache): bound(
            request(), features(hour_cache=hour_cache), place
        )
        for place in (here, claude)
        for hour_cache in (False, True)
    }
    prompt = features().input_tokens["o200k_base"] * 9 // 8 + 64
    least = holds["openai", False].cost_pico_usd
    assert least is not None
    assert holds["openai", True].cost_pico_usd == least == holds["anthropic", False].cost_pico_usd
    assert holds["anthropic", True].cost_pico_usd == least + prompt * 3_000_000


def test_a_hold_covers_the_searches_that_a_request_allows() -> None:
    """At Anthropic, with all that its window holds, since nobody knows what they find."""
    asked = replace_price(deployment("strong", price(3, 15), max_output=5000), search=10**10)
    claude = replace(asked, provider=replace(asked.provider, family="anthropic"))
    plain, allowed = features(), features(searches=8)
    window = claude.card.context_window
    answers = 5000 * 15_000_000
    most = bound(request(), allowed, claude)
    assert (most.cost_pico_usd, most.tokens) == (
        window * 3_000_000 + answers + 8 * 10**10,
        window + 5000,
    )
    assert bound(request(), allowed, asked) == bound(request(), plain, asked)
    for unknown in (features(searches=None), features(searches=8)):
        place = claude if unknown.searches is None else replace_price(claude, search=None)
        assert bound(request(), unknown, place).cost_pico_usd is None


def test_a_hold_counts_sound_at_its_own_price() -> None:
    """All tokens where some may be sound; without such a price nobody knows."""
    here = deployment("strong", price(3, 15), max_output=5000)
    sounding = replace_price(here, audio_input=40_000_000, audio_output=80_000_000)
    prompt = features().input_tokens["o200k_base"] * 9 // 8 + 64
    heard = features(modalities=frozenset({"text", "audio"}))
    spoken = features(wants_audio=True)
    assert bound(request(), heard, sounding).cost_pico_usd == (
        prompt * 40_000_000 + 5000 * 15_000_000
    )
    assert bound(request(), spoken, sounding).cost_pico_usd == (
        prompt * 3_000_000 + 5000 * 80_000_000
    )
    assert bound(request(), heard, here).cost_pico_usd is None
    assert bound(request(), spoken, here).cost_pico_usd is None


def replace_price(place: Deployment, **more: Any) -> Deployment:
    """The deployment, with more in its price."""
    assert place.price is not None
    return replace(place, price=replace(place.price, **more))


@pytest.mark.parametrize(
    ("model", "cap"), [("claude-sonnet-4-5", 32_000), ("claude-3-5-haiku", 8_192), ("other", 4_096)]
)
def test_a_hold_at_anthropic_is_for_the_cap_that_it_is_sent(model: str, cap: int) -> None:
    """Where a caller gives none: not for the whole window, which no answer could fill."""
    here = deployment("strong", price(0, 15))
    claude = replace(
        here,
        card=replace(here.card, id=model),
        provider=replace(here.provider, family="anthropic"),
    )
    assert bound(request(), features(), claude).cost_pico_usd == cap * 15_000_000
    assert (bound(request(), features(), here).cost_pico_usd or 0) > 100_000 * 15_000_000


@pytest.mark.parametrize("max_output", [None, 300])
@pytest.mark.parametrize("prompt", [0, 10, 500, 990, 999, 1_000, 2_000])
@pytest.mark.parametrize("cap", [1, 299, 301, 990, 5_000])
def test_a_cap_is_lowered_only_where_it_must_be(
    cap: int, prompt: int, max_output: int | None
) -> None:
    """One that fits stays; a lowered one is at least 1, and no more than is held for the answer."""
    card = ModelCard(id="m", context_window=1_000, max_output=max_output)
    room = min(max_output or 1_000, max(0, 1_000 - prompt))
    lowered = lowered_cap(cap, prompt, card)
    assert lowered == cap if cap <= room else 1 <= lowered <= max(1, room)
    if cap > room:
        assert lowered >= room // 2

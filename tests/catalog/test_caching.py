"""What is read from a prompt cache, and who bills for writing to it."""

from dataclasses import replace

import pytest

from tests.worlds import anthropic, deployment, price
from turnout.catalog import (
    Deployment,
    Price,
    automatic_cache_tokens,
    bills_cache_writes,
    is_cache_discounted,
)


def _at(found: Deployment, url: str) -> Deployment:
    return replace(found, provider=replace(found.provider, base_url=url))


def _priced(read: int | None = None, write: int | None = None) -> Price:
    made = price(2, 2)
    return replace(made, rates=replace(made.rates, cache_read=read, cache_write=write))


READS, WRITES = _priced(read=10**5), _priced(read=10**5, write=3 * 10**6)
PLAIN = deployment("m", READS)
OPENAI = _at(deployment("m", WRITES), "https://api.openai.com/v1")
CLAUDE = anthropic("m", WRITES)


@pytest.mark.parametrize(
    ("money", "prompt", "discounted"),
    [
        (READS, 1024, True),
        (READS, 1023, False),
        (None, 1024, False),
        (_priced(), 1024, False),
        (_priced(read=2 * 10**6), 1024, False),
    ],
)
def test_a_cache_counts_where_reading_it_is_cheaper(
    money: Price | None, prompt: int, *, discounted: bool
) -> None:
    """From 1,024 tokens on, at a price below that of fresh ones."""
    assert is_cache_discounted(money, prompt) is discounted


@pytest.mark.parametrize(
    ("found", "prompt", "tokens"),
    [
        (PLAIN, 1024, 1024),
        (PLAIN, 1279, 1152),
        (PLAIN, 1023, 0),
        (deployment("m", None), 1024, 0),
        (OPENAI, 1024, 0),
        (CLAUDE, 1024, 0),
        (anthropic("m", READS), 1024, 0),
    ],
)
def test_what_is_cached_unasked_comes_in_steps(found: Deployment, prompt: int, tokens: int) -> None:
    """Not at Anthropic's API, and not where writing has a price."""
    assert automatic_cache_tokens(found, prompt) == tokens


@pytest.mark.parametrize(
    ("found", "prompt", "marked", "billed"),
    [
        (CLAUDE, 1024, True, True),
        (CLAUDE, 1024, False, False),
        (CLAUDE, 1023, True, False),
        (OPENAI, 1024, False, True),
        (OPENAI, 1023, False, False),
        (_at(PLAIN, "https://api.openai.com/v1"), 1024, True, False),
        (deployment("m", WRITES), 1024, False, False),
        (deployment("m", WRITES), 1024, True, True),
    ],
)
def test_writing_is_billed_where_it_has_a_price_and_happens(
    found: Deployment, prompt: int, *, marked: bool, billed: bool
) -> None:
    """OpenAI's models write every long prompt, others what is marked."""
    assert found.price is not None
    assert bills_cache_writes(found, found.price, prompt, marked=marked) is billed

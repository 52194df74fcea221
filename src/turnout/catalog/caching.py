"""What a provider caches of prompts, and how it bills that, by its documentation.

Sources: developers.openai.com/api/docs/guides/prompt-caching (a prompt of 1,024 tokens and more is
kept unasked, in steps of 128, for five to ten minutes after its last use; models that have a price
for writing bill it); platform.claude.com/docs/en/build-with-claude/prompt-caching (only what a
request marks, for five minutes or an hour after its last use). Other providers of OpenAI's kind are
assumed to do as OpenAI does where the price book has a price for what they read from a cache.
This module does not know what is in a cache.
"""

from turnout.catalog.catalog import Deployment
from turnout.catalog.price import Price
from turnout.core.hosts import is_openai

# No provider caches a shorter prompt.
MIN_CACHED_TOKENS = 1024
CACHE_LIFE_S, LONG_CACHE_LIFE_S = 300.0, 3600.0
_STEP = 128


def is_cache_discounted(price: Price | None, prompt: int) -> bool:
    """Whether a prompt of so many tokens costs less if it is read from the cache."""
    if price is None or prompt < MIN_CACHED_TOKENS:
        return False
    rates = price.rates_for(prompt)
    return rates.cache_read is not None and rates.cache_read < rates.input


def needs_cache_marks(deployment: Deployment) -> bool:
    """Whether only requests that mark their prompt read from the cache."""
    return deployment.provider.family == "anthropic"


def automatic_cache_tokens(deployment: Deployment, prompt: int) -> int:
    """The tokens of a prompt that are cached without a mark or a bill, and reported when read."""
    price = deployment.price
    if needs_cache_marks(deployment) or price is None or prompt < MIN_CACHED_TOKENS:
        return 0
    return prompt - prompt % _STEP if price.rates_for(prompt).cache_write is None else 0


def bills_cache_writes(deployment: Deployment, price: Price, prompt: int, *, marked: bool) -> bool:
    """Whether the tokens that are not read are written, at a price of their own."""
    if prompt < MIN_CACHED_TOKENS or price.rates_for(prompt).cache_write is None:
        return False
    return marked or is_openai(deployment.provider.base_url)

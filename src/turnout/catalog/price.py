"""Prices as dated data, resolved once to whole pico-dollars a token.

Invariant: the cost of a call is exact integer arithmetic over disjoint token buckets.
This module does not know where prices come from, nor the time.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

from turnout.core import Usage

# The price of writing to Anthropic's one-hour cache, in fresh input tokens.
# Source: platform.claude.com/docs/en/build-with-claude/prompt-caching.
_HOUR_FACTOR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Pico-dollars per token; cache reads and writes without a rate cost as much as input."""

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None

    def cost(self, usage: Usage) -> int:
        """Pico-dollars for ``usage``; reasoning tokens are billed as output."""
        return self.of(usage.input, usage.cache_read, usage.cache_write, usage.total_output)

    def of(self, fresh: int, cache_read: int, cache_write: int, output: int) -> int:
        """Pico-dollars for so many tokens: fresh input, cache reads, cache writes and output."""
        prompt = fresh * self.input
        if cache_read:
            prompt += cache_read * (self.input if self.cache_read is None else self.cache_read)
        if cache_write:
            prompt += cache_write * (self.input if self.cache_write is None else self.cache_write)
        return prompt + output * self.output

    def at_least(self, fresh: int, output: int) -> "Rates":
        """The rates, none lower than these."""
        return replace(self, input=max(self.input, fresh), output=max(self.output, output))

    def with_hour_cache(self) -> "Rates":
        """The rates if cache writes last an hour."""
        return replace(self, cache_write=max(_HOUR_FACTOR * self.input, self.cache_write or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A model's rates with their provenance.

    ``tiers`` are (prompt tokens, rates) in rising order: the last one whose threshold the prompt
    exceeds bills the whole call. ``assumed`` marks a price not published for this provider.
    ``search`` is the price in pico-dollars of a search by the provider's own tools,
    ``audio_input`` and ``audio_output`` those of a token of sound in the prompt and in the answer;
    None if unknown. ``fee`` is what a call may cost beside its tokens. ``listed`` says that a price
    list has it, which is for the usual service level alone.
    """

    rates: Rates
    source: str
    date: str
    assumed: bool = False
    tiers: tuple[tuple[int, Rates], ...] = ()
    search: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    fee: int = 0
    listed: bool = False

    def rates_for(self, input_tokens: int) -> Rates:
        """The rates that bill a call with a prompt of ``input_tokens``."""
        chosen = self.rates
        for above, rates in self.tiers:
            if input_tokens > above:
                chosen = rates
        return chosen

    def with_hour_cache(self) -> "Price":
        """The price of a call of which any part is cached for an hour.

        All cache writes then count as such, since usage has only their total.
        """
        return _with_hour_cache(self)

    def cost(self, usage: Usage) -> int:
        """Pico-dollars for one call's tokens, as text."""
        price = self.with_hour_cache() if usage.hour_cache else self
        return price.rates_for(usage.total_input).cost(usage)

    def extra_cost(self, usage: Usage) -> int | None:
        """Pico-dollars that one call cost beyond its tokens as text; None where unknown."""
        if not usage.costs_beyond_text:
            return 0
        rates = self.rates_for(usage.total_input)
        parts = (
            (usage.searches, self.search, 0),
            (usage.audio_input, self.audio_input, rates.input),
            (usage.audio_output, self.audio_output, rates.output),
        )
        if usage.unpriced or any(count and price is None for count, price, _ in parts):
            return None
        return sum(count * ((price or 0) - text) for count, price, text in parts)

    def bill(self, usage: Usage) -> int | None:
        """Pico-dollars for all of one call; None where a part of it has no known price."""
        extra = self.extra_cost(usage)
        return None if extra is None else self.cost(usage) + extra

    def with_searches(self, most: int | None) -> "Price | None":
        """The price of a call that may search so often; None where nobody knows it."""
        if most is None or self.search is None:
            return None
        return replace(self, fee=most * self.search)

    def with_audio(self, *, in_prompt: bool, in_answer: bool) -> "Price | None":
        """The price of a call all of whose tokens may be sound; None where nobody knows it."""
        asked = self.audio_input if in_prompt else 0
        answered = self.audio_output if in_answer else 0
        if asked is None or answered is None:
            return None
        tiers = tuple((above, rates.at_least(asked, answered)) for above, rates in self.tiers)
        return replace(self, rates=self.rates.at_least(asked, answered), tiers=tiers)

    def expected_cost(
        self, input_tokens: int, output_tokens: int, *, cache_read: int = 0, cache_write: int = 0
    ) -> int:
        """Pico-dollars for a call of this size, with so much of the prompt read and written."""
        rates, fresh = self.rates_for(input_tokens), input_tokens - cache_read - cache_write
        return self.fee + rates.of(fresh, cache_read, cache_write, output_tokens)

    def most_cost(self, input_tokens: int, output_tokens: int) -> int:
        """The most pico-dollars that a call of this size can cost, whatever the cache does."""
        rates = self.rates_for(input_tokens)
        read, written = rates.cache_read, rates.cache_write
        dearest = rates.input if written is None or written < rates.input else written
        if read is not None and read > dearest:  # as a price list has it of one model
            dearest = read
        return self.fee + input_tokens * dearest + output_tokens * rates.output


@lru_cache(maxsize=1024)
def _with_hour_cache(price: Price) -> Price:
    tiers = tuple((above, rates.with_hour_cache()) for above, rates in price.tiers)
    return replace(price, rates=price.rates.with_hour_cache(), tiers=tiers)

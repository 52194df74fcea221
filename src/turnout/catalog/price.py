"""Prices as dated data, resolved once to whole pico-dollars a token.

Invariant: the cost of a call is exact integer arithmetic over disjoint token buckets.
This module does not know where prices come from, nor the time.
"""

from dataclasses import dataclass

from turnout.core import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Pico-dollars a token; a cache class without a rate is billed as plain input."""

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None

    def cost(self, usage: Usage) -> int:
        """Pico-dollars for ``usage``; reasoning tokens are billed as output."""
        return self.of(usage.input, usage.cache_read, usage.cache_write, usage.total_output)

    def of(self, fresh: int, cache_read: int, cache_write: int, output: int) -> int:
        """Pico-dollars for so many tokens: of the prompt fresh, read and written, and answered."""
        amount = fresh * self.input + output * self.output
        if cache_read:
            amount += cache_read * (self.input if self.cache_read is None else self.cache_read)
        if cache_write:
            amount += cache_write * (self.input if self.cache_write is None else self.cache_write)
        return amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A model's rates with their provenance.

    ``tiers`` are (prompt tokens, rates) in rising order: the last whose threshold the prompt
    exceeds bills the whole call. ``assumed`` marks a price nobody published for this provider.
    """

    rates: Rates
    source: str
    date: str
    assumed: bool = False
    tiers: tuple[tuple[int, Rates], ...] = ()

    def rates_for(self, input_tokens: int) -> Rates:
        """The rates that bill a call with a prompt of ``input_tokens``."""
        chosen = self.rates
        for above, rates in self.tiers:
            if input_tokens > above:
                chosen = rates
        return chosen

    def cost(self, usage: Usage) -> int:
        """Pico-dollars for one call."""
        return self.rates_for(usage.total_input).cost(usage)

    def expected_cost(self, input_tokens: int, output_tokens: int) -> int:
        """Pico-dollars for a call of this size with a cold cache."""
        rates = self.rates_for(input_tokens)
        return input_tokens * rates.input + output_tokens * rates.output

    def most_cost(self, input_tokens: int, output_tokens: int) -> int:
        """Pico-dollars that a call of this size cannot pass, whatever the cache does."""
        rates = self.rates_for(input_tokens)
        dearest = max(rates.input, rates.cache_write or 0)
        return input_tokens * dearest + output_tokens * rates.output

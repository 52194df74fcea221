"""Money as whole pico-dollars.

Invariant: an amount is an ``int`` of pico-dollars (1 USD = 10**12), so sums never drift.
This module does not know prices, tokens or currencies other than the US dollar.
"""

from decimal import ROUND_CEILING, Decimal, InvalidOperation

_PLACES = 12
PICO_PER_USD = 10**_PLACES
_TOKENS_PER_MTOK = 10**6
# A thirtieth of the lowest price of a model, and what a single token of the dearest ones costs.
_LEAST_USD_PER_MTOK = 1e-4


def pico_from_usd(usd: Decimal | str | int) -> int:
    """Whole pico-dollars for an amount in USD, rounded up.

    Raises ValueError when ``usd`` is not a finite decimal number.
    """
    try:
        amount = Decimal(usd) * PICO_PER_USD
        return int(amount.to_integral_value(rounding=ROUND_CEILING))
    except (InvalidOperation, OverflowError, ValueError) as error:
        raise ValueError(f"not an amount in USD: {usd!r}") from error


def pico_per_token(usd_per_mtok: Decimal | str | int) -> int:
    """Pico-dollars a token for a price in USD per million tokens, rounded up."""
    return -(-pico_from_usd(usd_per_mtok) // _TOKENS_PER_MTOK)


def is_per_token(usd_per_mtok: Decimal | float) -> bool:
    """Whether the price is so low that it is that of one token instead of a million; 0 is free."""
    return 0 < usd_per_mtok < _LEAST_USD_PER_MTOK


def usd_from_pico(pico_usd: int) -> Decimal:
    """The exact amount in USD."""
    return Decimal(pico_usd).scaleb(-12)


def usd(pico_usd: int | None) -> float | None:
    """The amount in USD for a JSON document; an unknown one stays None."""
    return None if pico_usd is None else pico_usd / PICO_PER_USD


def exact_usd(pico_usd: int) -> str:
    """The amount in USD with all twelve decimal places, for programs."""
    digits = str(pico_usd).zfill(_PLACES + (2 if pico_usd < 0 else 1))
    return f"{digits[:-_PLACES]}.{digits[-_PLACES:]}"


def plain_usd(pico_usd: int) -> str:
    """The exact amount in USD without trailing zeros."""
    return f"{usd_from_pico(pico_usd).normalize():f}"


def format_usd(pico_usd: int | None, *, places: int = 6) -> str:
    """The amount for people, rounded up to ``places`` decimals; ``unknown`` for None."""
    if pico_usd is None:
        return "unknown"
    step = Decimal(1).scaleb(-places)
    rounded = usd_from_pico(pico_usd).quantize(step, rounding=ROUND_CEILING)
    return f"{'-' if rounded < 0 else ''}${abs(rounded):f}"

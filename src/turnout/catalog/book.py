"""The price book: the configuration's own prices, then the preset's, then genai-prices.

Invariant: a price is found with its source and date, or there is a ConfigError; it is never zero by
default. This module does not know the time: of a price that depends on it, the highest counts.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from turnout.catalog.price import Price, Rates
from turnout.config import PriceSection
from turnout.core import ConfigError, pico_from_usd, pico_per_token

CATALOGUE = "genai-prices"
FREE = Rates(input=0, output=0, cache_read=0, cache_write=0)


def price_from(section: PriceSection) -> Price:
    """The price written in a configuration or a preset; sound is free where all else is."""
    free = 0 if section.input == section.output == 0 else None
    return Price(
        rates=Rates(
            input=pico_per_token(section.input),
            output=pico_per_token(section.output),
            cache_read=_optional_rate(section.cache_read),
            cache_write=_optional_rate(section.cache_write),
        ),
        source=section.source,
        date=section.date,
        assumed=section.assumed,
        search=_search_price(section.searches),
        audio_input=free if section.audio_input is None else pico_per_token(section.audio_input),
        audio_output=free if section.audio_output is None else pico_per_token(section.audio_output),
    )


def with_listed_extras(listed: Price, price: Price) -> Price:
    """The price, with what ``listed`` has for searches and sound where it does not say it."""
    missing = {
        name: getattr(listed, name)
        for name in ("search", "audio_input", "audio_output")
        if getattr(price, name) is None
    }
    return replace(price, **missing)


def free_price(reason: str) -> Price:
    """The price of a model that costs nothing to call, and why."""
    return Price(rates=FREE, source=reason, date="always", search=0, audio_input=0, audio_output=0)


def catalogue_price(model: str, catalogue: str | None, base_url: str) -> Price | None:
    """The price in genai-prices of ``model`` at this provider, or None when it has none.

    The provider is the preset's catalogue id, else the one whose API lives at ``base_url``.
    """
    info = _listed_model(model, catalogue, base_url)
    if info is None:
        return None
    options = info.prices if isinstance(info.prices, list) else [info.prices]
    offers: list[Any] = [getattr(option, "prices", option) for option in options]
    offers = [offer for offer in offers if _base(offer.input_mtok) is not None]
    if not offers:
        return None
    dearest = max(offers, key=lambda offer: _base(offer.output_mtok) or Decimal(0))
    return _price_of(dearest)


def catalogue_window(model: str, catalogue: str | None, base_url: str) -> int | None:
    """The context window in genai-prices of ``model`` at this provider; None if it has none."""
    info = _listed_model(model, catalogue, base_url)
    return None if info is None else info.context_window


def _listed_model(model: str, catalogue: str | None, base_url: str) -> Any:
    from genai_prices import data_snapshot

    try:
        return data_snapshot.get_snapshot().find_provider_model(
            model, None, catalogue, None if catalogue else base_url
        )[1]
    except LookupError:
        return None


def unknown_price_error(model: str, provider: str) -> ConfigError:
    """The error for a model whose price is unknown."""
    return ConfigError(
        f"{model!r} at {provider!r} has no known price; in models, give it "
        "'price: {input: USD_PER_MTOK, output: USD_PER_MTOK}' or 'price: unknown'"
    )


def _search_price(usd_per_thousand: Decimal | None) -> int | None:
    return None if usd_per_thousand is None else pico_from_usd(usd_per_thousand / 1000)


def _optional_rate(usd_per_mtok: Decimal | None) -> int | None:
    return None if usd_per_mtok is None else pico_per_token(usd_per_mtok)


def _price_of(offer: Any) -> Price:
    starts = sorted(
        {tier.start for value in _token_prices(offer).values() for tier in _tiers(value)}
    )
    return Price(
        rates=_rates_above(offer, 0),
        tiers=tuple((start, _rates_above(offer, start)) for start in starts),
        source=f"{CATALOGUE} {_catalogue_version()}",
        date=_catalogue_version(),
        search=_search_price(_base(getattr(offer, "web_searches_kcount", None))),
        audio_input=_optional_rate(_dearest(getattr(offer, "input_audio_mtok", None))),
        audio_output=_optional_rate(_dearest(getattr(offer, "output_audio_mtok", None))),
        listed=True,
    )


def _token_prices(offer: Any) -> Mapping[str, Any]:
    names = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
    return {name.removesuffix("_mtok"): getattr(offer, name, None) for name in names}


def _rates_above(offer: Any, start: int) -> Rates:
    rates = {name: _rate_at(value, start) for name, value in _token_prices(offer).items()}
    return Rates(
        input=pico_per_token(rates["input"] or 0),
        output=pico_per_token(rates["output"] or 0),
        cache_read=_optional_rate(rates["cache_read"]),
        cache_write=_optional_rate(rates["cache_write"]),
    )


def _tiers(value: Any) -> list[Any]:
    return list(getattr(value, "tiers", ()))


def _base(value: Any) -> Decimal | None:
    base: Decimal | None = getattr(value, "base", value)
    return base


def _dearest(value: Any) -> Decimal | None:
    base = _base(value)
    return None if base is None else max([base, *(tier.price for tier in _tiers(value))])


def _rate_at(value: Any, start: int) -> Decimal | None:
    chosen = _base(value)
    for tier in sorted(_tiers(value), key=lambda t: t.start):
        if tier.start <= start:
            chosen = tier.price
    return chosen


def _catalogue_version() -> str:
    from importlib.metadata import version

    return version(CATALOGUE)

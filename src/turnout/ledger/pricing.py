"""What a call costs: what its provider states, else the price of the model that served it.

Invariant: an unknown price gives an unknown cost, never zero. This module does not know storage.
"""

import hashlib
import json
from functools import lru_cache

from turnout.catalog import Catalog, Deployment, Price, Rates, billed_deployment, is_other_model
from turnout.core import Outcome
from turnout.ledger.entries import Call, PriceRow

# Nothing for a token: the whole cost is kept beside them.
STATED = Price(
    rates=Rates(input=0, output=0), source="the provider's answer", date="with each call"
)


def call_of(outcome: Outcome, n: int, catalog: Catalog, stand_in: Deployment | None) -> Call:
    """The ``n``-th call of a request, at its stated cost or the served model's price."""
    route, usage, fault = outcome.route, outcome.usage, outcome.error
    deployment = stand_in or catalog.deployments.get(route.deployment)
    priced = billed_deployment(deployment, outcome.model, catalog) if deployment else None
    price = priced.price if priced else None
    if price and usage.hour_cache:
        price = price.with_hour_cache()
    non_text_pico_usd = price.extra_cost(usage) if price else None
    price = None if non_text_pico_usd is None else price
    if outcome.stated_pico_usd is not None:
        priced, price, non_text_pico_usd = deployment, STATED, outcome.stated_pico_usd
    if price is not None:
        cost_pico_usd: int | None = price.cost(usage) + (non_text_pico_usd or 0)
    else:
        # Refused before any work: nothing is billed, whatever the price.
        cost_pico_usd = 0 if usage.is_empty else None
    return Call(
        # By position, since Python makes a dictionary of more than 15 names.
        outcome.decision_id,
        n,
        route.role,
        route.deployment,
        model=route.model,
        served=outcome.model if is_other_model(route.model, outcome.model) else None,
        status=outcome.status,
        tokens=(usage.input, usage.cache_read, usage.cache_write, usage.output, usage.reasoning),
        estimated=usage.estimated,
        cost_pico_usd=cost_pico_usd,
        non_text_pico_usd=non_text_pico_usd or 0,
        price=price_row(priced.model, priced.provider.name, price) if priced and price else None,
        ttft_ms=None if outcome.ttft_ms is None else round(outcome.ttft_ms),
        latency_ms=round(outcome.latency_ms),
        finish_reason=outcome.finish_reason,
        fault=fault.kind if fault else None,
        http_status=fault.status if fault else None,
    )


@lru_cache(maxsize=1024)
def price_row(model: str, provider: str, price: Price) -> PriceRow:
    """The price as a row named by its content."""
    rates = rates_text(price)
    content = "\n".join((model, provider, rates, price.source, price.date, str(price.assumed)))
    return PriceRow(
        id=hashlib.sha256(content.encode()).hexdigest()[:12],
        model=model,
        provider=provider,
        rates=rates,
        source=price.source,
        date=price.date,
        assumed=price.assumed,
    )


def rates_text(price: Price) -> str:
    """The rates in pico-dollars a token as JSON: [base, [above, rates], …]."""
    tiers = [[above, _rates(rates)] for above, rates in price.tiers]
    return json.dumps([_rates(price.rates), *tiers], separators=(",", ":"))


def price_from_text(text: str) -> Price:
    """The price that ``rates_text`` wrote, without its source."""
    base, *tiers = json.loads(text)
    return Price(
        rates=Rates(**_named(base)),
        source="",
        date="",
        tiers=tuple((above, Rates(**_named(rates))) for above, rates in tiers),
    )


def _rates(rates: Rates) -> list[int | None]:
    return [rates.input, rates.output, rates.cache_read, rates.cache_write]


def _named(values: list[int]) -> dict[str, int]:
    return dict(zip(("input", "output", "cache_read", "cache_write"), values, strict=True))

"""What a call costs: the price of the model that served it, as a dated row.

Invariant: an unknown price gives an unknown cost, never zero. This module does not know storage.
"""

import hashlib
import json
import re
from functools import lru_cache

from turnout.catalog import Catalog, Deployment, Price, Rates
from turnout.core import Outcome
from turnout.ledger.entries import Call, PriceRow

# A dated or tagged release of the model that was asked for: "-2024-08-06", "-20250514", ":free".
_RELEASE = re.compile(r"([-@]\d{4}-?\d{2}-?\d{2}|[-@]\d{4}|-latest|-preview)*")


def call_of(outcome: Outcome, n: int, catalog: Catalog, stand_in: Deployment | None) -> Call:
    """The ``n``-th call of a request, at the price of the model that served it."""
    route, usage, fault = outcome.route, outcome.usage, outcome.error
    asked = stand_in or catalog.deployments.get(route.deployment)
    served = _other_model(asked.model if asked else route.model, outcome.model)
    priced = served_deployment(asked, served, catalog)
    price = priced.price if priced else None
    return Call(
        id=outcome.decision_id,
        n=n,
        role=route.role,
        deployment=route.deployment,
        model=route.model,
        served=outcome.model if served or (stand_in and outcome.model != route.model) else None,
        status=outcome.status,
        input=usage.input,
        cache_read=usage.cache_read,
        cache_write=usage.cache_write,
        output=usage.output,
        reasoning=usage.reasoning,
        estimated=usage.estimated,
        cost_pico_usd=_cost(price, outcome),
        price=price_row(priced.model, priced.provider.name, price) if priced and price else None,
        ttft_ms=None if outcome.ttft_ms is None else round(outcome.ttft_ms),
        latency_ms=round(outcome.latency_ms),
        finish_reason=outcome.finish_reason,
        fault=fault.kind if fault else None,
        http_status=fault.status if fault else None,
    )


def served_deployment(
    asked: Deployment | None, served: str | None, catalog: Catalog
) -> Deployment | None:
    """Whose price bills a call: the one asked, unless its provider ``served`` another model."""
    if served is None or asked is None:
        return asked
    for deployment in catalog.deployments.values():
        same_place = deployment.provider.name == asked.provider.name
        if same_place and _other_model(deployment.model, served) is None:
            return deployment
    return None


@lru_cache(maxsize=1024)
def _other_model(asked: str, served: str | None) -> str | None:
    """``served`` when it is another model than ``asked``; releases and spellings are the same."""
    if served is None:
        return None
    wanted, found = (name.casefold().rpartition("/")[2] for name in (asked, served))
    short, long = sorted((wanted, found), key=len)
    same = long.startswith(short) and _RELEASE.fullmatch(long[len(short) :]) is not None
    return None if same else served


def _cost(price: Price | None, outcome: Outcome) -> int | None:
    usage = outcome.usage
    if not usage.total_input and not usage.total_output:
        return 0  # refused before anything was done: nothing is billed at any price
    return None if price is None else price.cost(usage)


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


def price_from_text(text: str, source: str = "", date: str = "") -> Price:
    """The price that ``rates_text`` wrote."""
    base, *tiers = json.loads(text)
    return Price(
        rates=Rates(**_named(base)),
        source=source,
        date=date,
        tiers=tuple((above, Rates(**_named(rates))) for above, rates in tiers),
    )


def _rates(rates: Rates) -> list[int | None]:
    return [rates.input, rates.output, rates.cache_read, rates.cache_write]


def _named(values: list[int]) -> dict[str, int]:
    return dict(zip(("input", "output", "cache_read", "cache_write"), values, strict=True))

"""``turnout models`` and ``turnout prices``: what is configured, and what it costs."""

from typing import Annotated, Any

import typer

from turnout.catalog import Deployment
from turnout.cli.options import ConfigOption, JsonOption, unrecorded_router
from turnout.cli.show import err, out, print_json, print_table, stand_in_notice
from turnout.config import load
from turnout.core.money import plain_usd
from turnout.runtime import Router

_PER_MTOK, _THOUSAND = 10**6, 1000


def models(
    *,
    config: ConfigOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Ask each provider whether it has the model.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """List the configured models, and where each intent goes."""
    with unrecorded_router(load(config)) as r:
        deployments = list(r.parts.catalog.deployments.values())
        states = r.standings() if check else r.without_key()
        rows = [_model(r, d, states.get(d.id, "ready")) for d in deployments]
        line, problem = stand_in_notice(r), r.parts.unknown_qualities
    if problem is not None:
        err.print(f"turnout: {problem}")
    if json:
        print_json(rows)
        return
    columns = ("name", "model", "provider", "intents", "window", "$/M in", "$/M out", "state")
    print_table("Models", columns, [tuple(str(row[c]) for c in _MODEL_KEYS) for row in rows])
    if line:
        out.print(line, style="dim")
    if line and check:
        err.print("no provider was asked, since there is no key", style="dim")


_MODEL_KEYS = (
    "name", "model", "provider", "intents", "window", "input_usd_per_mtok", "output_usd_per_mtok",
    "state",
)  # fmt: skip


def prices(*, config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the configured models' prices, with source and date."""
    with unrecorded_router(load(config)) as r:
        rows = [_price(d) for d in r.parts.catalog.deployments.values()]
    if json:
        print_json(rows)
        return
    shown = [key for key in _PRICE_COLUMNS if any(row[key] is not None for row in rows)]
    cells = [tuple("" if row[key] is None else str(row[key]) for key in shown) for row in rows]
    print_table("Prices", [_PRICE_COLUMNS[key] for key in shown], cells)


_PRICE_COLUMNS = {
    "model": "model",
    "input": "$/M in",
    "output": "$/M out",
    "cache_read": "$/M cache read",
    "cache_write": "$/M cache write",
    "audio_input": "$/M audio in",
    "audio_output": "$/M audio out",
    "searches": "$/1000 searches",
    "source": "source",
    "date": "date",
}


def _model(r: Router, deployment: Deployment, state: str) -> dict[str, Any]:
    config = r.parts.config
    intents = [k for k, v in config.routes.items() if v == deployment.id]
    if config.default == deployment.id:
        intents.append("default")
    if deployment.card.kind == "embedding":
        intents.append("embeddings")
    rates = deployment.price.rates if deployment.price else None
    return {
        "name": deployment.id,
        "model": deployment.model,
        "provider": deployment.provider.name,
        "intents": ", ".join(intents),
        "window": deployment.card.context_window,
        "input_usd_per_mtok": _usd(rates.input) if rates else "unknown",
        "output_usd_per_mtok": _usd(rates.output) if rates else "unknown",
        "state": state,
        "fallbacks": list(config.fallbacks.get(deployment.id, ())),
    }


def _price(deployment: Deployment) -> dict[str, Any]:
    price = deployment.price
    if price is None:
        unknown = {**dict.fromkeys(_PRICE_COLUMNS), "source": "", "date": ""}
        return {**unknown, "model": deployment.model, "input": "unknown"}
    rates = price.rates
    return {
        "model": deployment.model,
        "input": _usd(rates.input),
        "output": _usd(rates.output),
        "cache_read": _usd(rates.cache_read),
        "cache_write": _usd(rates.cache_write),
        "audio_input": _usd(price.audio_input),
        "audio_output": _usd(price.audio_output),
        "searches": _usd(price.search, _THOUSAND),
        "source": price.source + (" (assumed for this provider)" if price.assumed else ""),
        "date": price.date,
        "tiers": [
            {"above_tokens": above, "input": _usd(r.input), "output": _usd(r.output)}
            for above, r in price.tiers
        ],
    }


def _usd(pico: int | None, times: int = _PER_MTOK) -> str | None:
    return None if pico is None else plain_usd(pico * times)

"""From a configuration to a catalogue: providers, models and prices resolved once.

Raises ConfigError for a provider without an address, a model without a price, or an API without
embeddings.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from turnout.catalog.book import (
    CATALOGUE,
    catalogue_price,
    catalogue_window,
    free_price,
    price_from,
    unknown_price_error,
    with_listed_extras,
)
from turnout.catalog.catalog import DEFAULT_WINDOW, Catalog, Deployment, ModelCard, Provider
from turnout.catalog.presets import canonical_model, model_facts, presets
from turnout.catalog.price import Price
from turnout.config import (
    Config,
    DeploymentSection,
    ModelSection,
    PriceSection,
    ProviderSection,
    errors_at,
)
from turnout.core import ConfigError

Path = tuple[str, ...]  # of a setting

DEFAULT_PRESET = "runcrate"
_NO_WINDOW = 10**9


def build(config: Config, environ: Mapping[str, str]) -> Catalog:
    """Every configured model as a deployment, keyed by its name in the configuration.

    The first deployment of a model has the model's name, others have ``name#2``, ``name#3``, ….
    Raises ConfigError for a model whose provider or price is not known.
    """
    providers: dict[str, tuple[Provider, Mapping[str, Any]]] = {}
    deployments = {}
    default_provider = config.provider or next(iter(config.providers), DEFAULT_PRESET)
    for name, section in config.models.items():
        for ident, overrides, model, path in _deployment_sections(name, section):
            provider_name = model.provider or default_provider
            own = overrides.api_key or overrides.base_url
            key = ident if own else provider_name
            if key not in providers:
                provider_section = _provider_section(config.providers.get(provider_name), overrides)
                with errors_at(config, *_provider_path(config, provider_name, model, path)):
                    found, facts = _provider(provider_name, provider_section, environ)
                providers[key] = replace(found, name=key), facts
            with errors_at(config, *path):
                deployment = _deployment(ident, model, *providers[key])
            if deployment.card.kind == "embedding" and deployment.provider.family == "anthropic":
                raise ConfigError(
                    f"{config.at('models', name, 'kind')} {provider_name} speaks Anthropic's API, "
                    "which has no embeddings; name a provider of family openai"
                )
            if section.deployments:
                deployment = replace(
                    deployment, group=name, weight=overrides.weight, quota=overrides.quota
                )
            deployments[ident] = deployment
    return Catalog(deployments=deployments)


def _deployment_sections(
    name: str, section: ModelSection
) -> Iterator[tuple[str, DeploymentSection, ModelSection, Path]]:
    """Each deployment's id, its section, the model as configured there, and the setting's path."""
    for number, place in enumerate(section.deployments or (DeploymentSection(),), start=1):
        given = place.model_dump(include={"provider", "model", "price"}, exclude_none=True)
        own = {key: getattr(place, key) for key in given}
        ident = name if number == 1 else f"{name}#{number}"
        path = ("deployments", str(number - 1)) if section.deployments else ()
        yield ident, place, section.model_copy(update=own), ("models", name, *path)


def _provider_section(
    section: ProviderSection | None, place: DeploymentSection
) -> ProviderSection | None:
    """The provider as this deployment calls it, with its own key and address if it has any."""
    own = {key: value for key in ("api_key", "base_url") if (value := getattr(place, key))}
    return (section or ProviderSection()).model_copy(update=own) if own else section


def _provider_path(config: Config, provider: str, at: ModelSection, path: Path) -> Path:
    """The path of the provider's section, else of the setting that names it."""
    if provider in config.providers:
        return "providers", provider
    return (*path, "provider") if at.provider else ("provider",)


def _provider(
    name: str, section: ProviderSection | None, environ: Mapping[str, str]
) -> tuple[Provider, Mapping[str, Any]]:
    """The provider and the preset's facts about it."""
    section = section or ProviderSection()
    preset = section.preset or (name if name in presets() else None)
    if preset is not None and preset not in presets():
        raise ConfigError(f"preset {preset!r} is unknown; use one of {', '.join(presets())}")
    facts = presets()[preset] if preset else {}
    base_url = section.base_url or facts.get("base_url")
    if not base_url:
        raise ConfigError(
            f"{name!r} is an unknown provider; give it a base_url in providers, or use a preset "
            f"({', '.join(presets())})"
        )
    env = facts.get("api_key_env")
    provider = Provider(
        name=name,
        base_url=base_url.rstrip("/"),
        family=section.family or facts.get("family", "openai"),
        api_key=section.api_key or (environ.get(env) if env else None) or None,
        api_key_env=env,
        headers=section.headers,
        json_schema=facts.get("json_schema", False)
        if section.json_schema is None
        else section.json_schema,
        states_cost=facts.get("states_cost", False),
        drains=section.on_disconnect == "drain",
        drain_s=section.drain_s,
    )
    return provider, {**facts, "preset": preset or ""}


def _deployment(
    name: str, section: ModelSection, provider: Provider, facts: Mapping[str, Any]
) -> Deployment:
    model = canonical_model(facts["preset"], section.model)
    known = dict(model_facts(facts["preset"], model))
    price = _price(model, section, provider, facts, known)
    if price is not None and price.source.startswith(CATALOGUE):
        # Windows grow: a listed one below the usual size may be outdated, and a provider that is
        # sent more than its model reads will say so.
        window = catalogue_window(model, facts.get("catalogue"), provider.base_url) or 0
        known.setdefault("context_window", max(window, DEFAULT_WINDOW))
    return Deployment(id=name, card=_card(model, section, known), provider=provider, price=price)


def _card(model: str, section: ModelSection, known: Mapping[str, Any]) -> ModelCard:
    own: dict[str, Any] = {
        "context_window": section.context_window,
        "max_output": section.max_output,
        "tools": section.tools,
        "json": section.json_output,
        "modalities": section.modalities,
        "tokenizer": section.tokenizer,
        "quality": section.quality,
    }
    chosen: dict[str, Any] = {k: v if v is not None else known.get(k) for k, v in own.items()}
    if section.kind == "embedding":
        # The window is for one input; a request may have many, each of which the provider checks.
        chosen.update(kind="embedding", context_window=_NO_WINDOW)
    chosen["token_factor"] = None if section.tokenizer else known.get("token_factor")
    if chosen["modalities"] is not None:
        chosen["modalities"] = frozenset(["text", *chosen["modalities"]])
    return ModelCard(id=model, **{k: v for k, v in chosen.items() if v is not None})


def _price(
    model: str,
    section: ModelSection,
    provider: Provider,
    facts: Mapping[str, Any],
    known: Mapping[str, Any],
) -> Price | None:
    if section.price == "unknown":
        return None
    if section.price is None and "free" in facts:
        return free_price(facts["free"])
    stated = section.price or known.get("price")
    price = None if stated is None else price_from(PriceSection.model_validate(stated))
    if price is not None and section.price is None:
        price = replace(price, listed=True)
    if price is not None and provider.family != "anthropic":
        return price  # without the list, which takes a while to load
    listed = catalogue_price(model, facts.get("catalogue"), provider.base_url)
    if price is not None:
        return with_listed_extras(listed, price) if listed else price
    if listed is None:
        raise unknown_price_error(model, provider.name)
    return listed

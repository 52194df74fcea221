"""What can be called: models, deployments and providers, as frozen data.

Invariant: a catalog never changes; a new one replaces it.
This module does not know how providers are called, nor whether they are up.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from turnout.catalog.claudes import longest_answer
from turnout.catalog.price import Price
from turnout.core import Features
from turnout.core.nearest import nearest
from turnout.core.request import Family

Kind = Literal["chat", "embedding"]

DEFAULT_WINDOW = 128_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider: base URL, API family and key (None when the key is not set).

    ``json_schema`` says that answers can be restricted to a JSON schema, ``states_cost`` that they
    say what was charged for them. ``drains`` says that an answer is billed to its end even if its
    caller leaves; it is then read on for ``drain_s`` seconds.
    """

    name: str
    base_url: str
    family: Family = "openai"
    api_key: str | None = field(default=None, repr=False)
    api_key_env: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    json_schema: bool = False
    states_cost: bool = False
    drains: bool = False
    drain_s: float = 30.0

    @property
    def has_key(self) -> bool:
        """Whether it can be called, since its key is set, or it needs none."""
        return self.api_key is not None or self.api_key_env is None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Timeless facts about a model.

    Sizes are in tokens; ``max_output`` is None if only the window limits an answer. ``tokenizer``
    counts its prompts, and ``token_factor`` corrects the count if the model's own tokenizer is not
    public. ``quality`` is a prior in [0, 1]; ``kind`` says whether it answers or makes embeddings.
    """

    id: str
    kind: Kind = "chat"
    context_window: int = DEFAULT_WINDOW
    max_output: int | None = None
    modalities: frozenset[str] = frozenset({"text"})
    tools: bool = True
    json: bool = True
    tokenizer: str = "o200k_base"
    token_factor: float = 1.0
    quality: float | None = None

    def missing_capability(self, features: Features) -> str | None:
        """Why it cannot do what a request of these features needs, in words; None when it can."""
        missing = features.modalities - self.modalities
        if missing:
            return f"does not take {', '.join(sorted(missing))}"
        if features.needs_tools and not self.tools:
            return "does not call tools"
        return "does not promise JSON" if features.needs_json and not self.json else None


def default_max_tokens(card: ModelCard) -> int:
    """The ``max_tokens`` for Anthropic's API, which requires one, if the caller gives none."""
    return card.max_output or longest_answer(card.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A model at a provider, which can be called. ``price`` is None if it is declared unknown.

    ``group`` is the configured model of which this is one of several deployments, else None;
    ``weight`` is its share of that model's load. Deployments with one ``quota`` share a rate limit;
    without a quota, those of one model at one provider do.
    """

    id: str
    card: ModelCard
    provider: Provider
    price: Price | None
    group: str | None = None
    weight: float = 1.0
    quota: str | None = None

    @property
    def model(self) -> str:
        """The model's id, as the provider knows it."""
        return self.card.id

    @property
    def configured_name(self) -> str:
        """The name of the configured model that this is the, or one, deployment of."""
        return self.group or self.id

    @property
    def names(self) -> set[str]:
        """All its names: its own id, the configured name, the model's id."""
        return {self.id, self.configured_name, self.model}

    @property
    def fingerprint(self) -> str:
        """A hash by which other processes know it; it changes with name, address and key."""
        provider = self.provider
        parts = (self.id, self.model, provider.base_url, provider.family, provider.api_key or "")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]

    @property
    def runs_hosted_tools(self) -> bool:
        """Whether OpenAI's hosted tools can be used there."""
        return self.provider.family == "openai-responses"

    @property
    def default_max_tokens(self) -> int | None:
        """The ``max_tokens`` its provider is sent if the caller gives none; None for no cap."""
        return default_max_tokens(self.card) if self.provider.family == "anthropic" else None

    def missing_capability(self, features: Features) -> str | None:
        """Why it cannot do what a request of these features needs, in words; None when it can."""
        if features.hosted and not self.runs_hosted_tools:
            return f"does not run {', '.join(features.hosted)}"
        return self.card.missing_capability(features)

    @property
    def bills_searches(self) -> bool:
        """Whether the provider's own tools search there, and are billed by the search."""
        return self.provider.family == "anthropic"

    def unlisted_field(self, features: Features) -> str | None:
        """The field of the request for which the price list has no price; None if it has one."""
        listed = self.price is not None and self.price.listed
        return features.unlisted.get(self.provider.family) if listed else None

    def price_for(self, features: Features) -> Price | None:
        """The price of a call for a request of these features, with what it may cost beside text.

        None where nobody knows it.
        """
        price = self.price
        if price is None or features.paid_by_call:
            return None
        if features.unlisted and self.unlisted_field(features):
            return None
        hears = "audio" in features.modalities
        if hears or features.wants_audio:
            price = price.with_audio(in_prompt=hears, in_answer=features.wants_audio)
        if features.searches != 0 and price is not None and self.bills_searches:
            price = price.with_searches(features.searches)
        return price

    def hour_cache_price(self, price: Price) -> Price:
        """``price`` if a cache for an hour is asked for, which only Anthropic's API has."""
        return price.with_hour_cache() if self.provider.family == "anthropic" else price


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All deployments by id, in the order of the configuration.

    In a catalog that has ``only`` one kind of models, ``others`` has the rest.
    """

    # No slots, so that a cached property can be stored.

    deployments: Mapping[str, Deployment]
    others: Mapping[str, Deployment] = field(default_factory=dict)

    def first_deployment(self, name: str) -> Deployment:
        """The deployment of the configured model ``name``; the first if it has several."""
        named = (d for d in self.deployments.values() if name in (d.id, d.group))
        return next(named)

    def deployments_of(self, name: str) -> tuple[Deployment, ...]:
        """The deployments of the configured model ``name``."""
        return self._by_configured_name[name]

    @cached_property
    def _by_configured_name(self) -> dict[str, tuple[Deployment, ...]]:
        found: dict[str, tuple[Deployment, ...]] = {}
        for deployment in self.deployments.values():
            name = deployment.configured_name
            found[name] = (*found.get(name, ()), deployment)
        return found

    def find(self, name: str) -> Deployment | None:
        """The deployment with this id, else the first with this model's id; ignores case."""
        exact = self.deployments.get(name)
        if exact is not None:
            return exact
        folded = name.casefold()
        for deployment in self.deployments.values():
            if folded in (deployment.id.casefold(), deployment.model.casefold()):
                return deployment
        return None

    def only(self, kind: Kind) -> "Catalog":
        """The deployments of models of this kind."""
        kept = {name: d for name, d in self.deployments.items() if d.card.kind == kind}
        others = {name: d for name, d in self.deployments.items() if name not in kept}
        return Catalog(deployments=kept, others=others) if others else self

    def nearest(self, name: str) -> str | None:
        """The known name closest to ``name``, for a message that suggests it."""
        return nearest(name, self.names)

    @property
    def names(self) -> list[str]:
        """All names of models, configured ones first, then the providers' ids; each once."""
        models = (deployment.model for deployment in self.deployments.values())
        return list(dict.fromkeys([*self.deployments, *models]))

    def strongest(self) -> Deployment:
        """The deployment with the best quality prior; without priors, the most expensive one."""
        return self._strongest

    @cached_property
    def _strongest(self) -> Deployment:
        return self.by_strength()[0]

    def by_strength(self) -> list[Deployment]:
        """All deployments, strongest first."""
        return sorted(self.deployments.values(), key=_strength, reverse=True)

    def cheapest(self) -> Deployment:
        """The deployment with the lowest price; an unknown one counts as higher than any."""
        return min(self.deployments.values(), key=lambda d: _blended_price(d, unknown=float("inf")))


def _strength(deployment: Deployment) -> tuple[float, float]:
    return deployment.card.quality or 0.0, _blended_price(deployment, unknown=0.0)


def _blended_price(deployment: Deployment, *, unknown: float) -> float:
    """The price of three input tokens and one output token."""
    if deployment.price is None:
        return unknown
    return float(3 * deployment.price.rates.input + deployment.price.rates.output)

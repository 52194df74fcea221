"""What can be called: models, deployments and providers, as frozen data.

Invariant: a catalog never changes; a new one replaces it.
This module does not know how a provider is spoken to, nor whether it is up.
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

USUAL_WINDOW = 128_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Who is called: base URL, wire family and key (None when the key is not set).

    ``json_schema`` says that answers can be held to a JSON schema there. ``drains`` says that an
    answer is billed to its end though its caller left: then it is read on, for ``drain_s`` seconds.
    """

    name: str
    base_url: str
    family: Family = "openai"
    api_key: str | None = field(default=None, repr=False)
    api_key_env: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    json_schema: bool = False
    drains: bool = False
    drain_s: float = 30.0

    @property
    def has_key(self) -> bool:
        """Whether it can be called: its key is set, or it needs none."""
        return self.api_key is not None or self.api_key_env is None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Timeless facts about a model.

    Sizes are tokens; ``max_output`` is None where only the window limits an answer. ``tokenizer``
    counts its prompts and ``token_factor`` corrects the count where the model's own tokenizer is
    not public. ``quality`` is a prior in [0, 1]; ``kind`` says whether it answers or gives vectors.
    """

    id: str
    kind: Kind = "chat"
    context_window: int = USUAL_WINDOW
    max_output: int | None = None
    modalities: frozenset[str] = frozenset({"text"})
    tools: bool = True
    json: bool = True
    tokenizer: str = "o200k_base"
    token_factor: float = 1.0
    quality: float | None = None

    def lacks(self, features: Features) -> str | None:
        """Why it cannot do what a request of these features needs, in words; None when it can."""
        missing = features.modalities - self.modalities
        if missing:
            return f"does not take {', '.join(sorted(missing))}"
        if features.needs_tools and not self.tools:
            return "does not call tools"
        return "does not promise JSON" if features.needs_json and not self.json else None


def usual_cap(card: ModelCard) -> int:
    """The cap that Anthropic's API, which wants one, is told where a caller gives none."""
    return card.max_output or longest_answer(card.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A model at a provider: a thing one can call. ``price`` is None when declared unknown.

    ``group`` is the configured model that it is one of several deployments of, else None;
    ``weight`` is its share there. Deployments of one ``quota`` are limited together; None stands
    for the same model at the same provider.
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
    def configured(self) -> str:
        """The name of the configured model that it is, alone or as one of several places."""
        return self.group or self.id

    @property
    def names(self) -> set[str]:
        """What it may be called by: its own id, the configured name, the model's id."""
        return {self.id, self.configured, self.model}

    @property
    def fingerprint(self) -> str:
        """What it goes by in other processes: another one where name, address or key differ."""
        at = self.provider
        said = (self.id, self.model, at.base_url, at.family, at.api_key or "")
        return hashlib.sha256("\n".join(said).encode()).hexdigest()[:24]

    @property
    def runs_hosted(self) -> bool:
        """Whether tools that run at OpenAI can be asked for there."""
        return self.provider.family == "openai-responses"

    @property
    def usual_cap(self) -> int | None:
        """The cap on an answer that its provider is told where a caller gives none, if it is."""
        return usual_cap(self.card) if self.provider.family == "anthropic" else None

    def lacks(self, features: Features) -> str | None:
        """Why it cannot do what a request of these features needs, in words; None when it can."""
        if features.hosted and not self.runs_hosted:
            return f"does not run {', '.join(features.hosted)}"
        return self.card.lacks(features)

    def may_search(self, features: Features) -> bool:
        """Whether tools of the request search there, and are billed by the search."""
        return features.searches != 0 and self.provider.family == "anthropic"

    def price_for(self, features: Features) -> Price | None:
        """The price of a call for a request of these features, with what it may cost beside text.

        None where nobody knows it.
        """
        price = None if features.paid_by_call else self.price
        hears = "audio" in features.modalities
        if price is not None and (hears or features.speaks):
            price = price.with_sound(heard=hears, spoken=features.speaks)
        if price is not None and self.may_search(features):
            price = price.with_searches(features.searches)
        return price

    def lasts(self, features: Features) -> bool:
        """Whether what the request writes to a cache there may last an hour."""
        return features.lasting and self.provider.family == "anthropic"

    def billing(self, *, lasting: bool) -> Price | None:
        """The price of a call; ``lasting``, if it may write to a cache that lasts an hour.

        Only Anthropic's API has such a cache, for which ``Price.billing`` has a price.
        """
        may_last = lasting and self.provider.family == "anthropic"
        return self.price.billing(lasting=may_last) if self.price else None


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All deployments by id, in the order of the configuration.

    Where these are ``only`` those of one kind, ``others`` are the rest.
    """

    # Without slots, so that what every receipt asks for can be kept.

    deployments: Mapping[str, Deployment]
    others: Mapping[str, Deployment] = field(default_factory=dict)

    def configured(self, name: str) -> Deployment:
        """The deployment of the configured model ``name``, the first where it has several."""
        mine = (d for d in self.deployments.values() if name in (d.id, d.group))
        return next(mine)

    def places(self, name: str) -> tuple[Deployment, ...]:
        """The deployments of the configured model ``name``."""
        return self._places[name]

    @cached_property
    def _places(self) -> dict[str, tuple[Deployment, ...]]:
        found: dict[str, tuple[Deployment, ...]] = {}
        for deployment in self.deployments.values():
            name = deployment.configured
            found[name] = (*found.get(name, ()), deployment)
        return found

    def find(self, name: str) -> Deployment | None:
        """The deployment with this id, or serving this model, compared without case."""
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
        """What models are called here, then by their providers; each once."""
        models = (deployment.model for deployment in self.deployments.values())
        return list(dict.fromkeys([*self.deployments, *models]))

    def strongest(self) -> Deployment:
        """The deployment with the best quality prior; without priors, the dearest."""
        return self._strongest

    @cached_property
    def _strongest(self) -> Deployment:
        return self.by_strength()[0]

    def by_strength(self) -> list[Deployment]:
        """All deployments, strongest first."""
        return sorted(self.deployments.values(), key=_strength, reverse=True)

    def cheapest(self) -> Deployment:
        """The deployment with the lowest price; an unknown price counts as the dearest."""
        return min(self.deployments.values(), key=lambda d: _blend(d, unknown=float("inf")))


def _strength(deployment: Deployment) -> tuple[float, float]:
    return deployment.card.quality or 0.0, _blend(deployment, unknown=0.0)


def _blend(deployment: Deployment, *, unknown: float) -> float:
    """Price of a call with three prompt tokens to each answer token."""
    if deployment.price is None:
        return unknown
    return float(3 * deployment.price.rates.input + deployment.price.rates.output)

"""What can be called: providers, their models, a model's deployments, and prices."""

from typing import Annotated, Literal

from pydantic import Field

from turnout.config.section import (
    BaseUrl,
    HeaderName,
    HeaderValue,
    Name,
    Seconds,
    Section,
    Share,
    UsdPerMtok,
)
from turnout.core.request import Family


class PriceSection(Section):
    """A price in USD per million tokens, with where and when it was read.

    ``searches`` is the price of a thousand searches by the provider's own tools.
    """

    input: UsdPerMtok
    output: UsdPerMtok
    cache_read: UsdPerMtok | None = None
    cache_write: UsdPerMtok | None = None
    audio_input: UsdPerMtok | None = None
    audio_output: UsdPerMtok | None = None
    searches: UsdPerMtok | None = None
    source: str = "turnout.yaml"
    date: str = "undated"
    assumed: bool = False


class ProviderSection(Section):
    """A provider: a preset, or any base URL with one of OpenAI's APIs or Anthropic's.

    ``on_disconnect`` says what happens to a call whose caller disconnects: ``cancel`` it, or
    ``drain`` it for up to ``drain_s`` if the provider bills it to its end anyway.
    """

    preset: Name | None = None
    base_url: BaseUrl | None = None
    api_key: HeaderValue | None = None
    family: Family | None = None
    headers: dict[HeaderName, HeaderValue] = {}
    json_schema: bool | None = None
    on_disconnect: Literal["cancel", "drain"] = "cancel"
    drain_s: Seconds = 30.0


class DeploymentSection(Section):
    """One of several deployments of a model; settings that are left out are the model's.

    ``weight`` is its share; deployments of one ``quota`` are limited together by their provider.
    """

    provider: Name | None = None
    base_url: BaseUrl | None = None
    api_key: HeaderValue | None = None
    model: Name | None = None
    price: PriceSection | Literal["unknown"] | None = None
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    quota: Name | None = None


class ModelSection(Section):
    """One model that can be called; settings that are left out come from the preset.

    ``kind: embedding`` marks a model that gives vectors and is never asked to answer.
    ``deployments`` lists its deployments if there are several, ``balance`` how they share load.
    """

    model: Name
    kind: Literal["chat", "embedding"] = "chat"
    deployments: tuple[DeploymentSection, ...] = ()
    balance: Literal["least_outstanding", "weighted"] = "least_outstanding"
    provider: Name | None = None
    price: PriceSection | Literal["unknown"] | None = None
    context_window: Annotated[int, Field(gt=0)] | None = None
    max_output: Annotated[int, Field(gt=0)] | None = None
    tools: bool | None = None
    json_output: Annotated[bool | None, Field(alias="json")] = None
    modalities: tuple[Literal["text", "image", "audio", "video", "file"], ...] | None = None
    tokenizer: Name | None = None
    quality: Share | None = None

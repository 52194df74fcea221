"""Which codec and transport speak to which provider.

Invariant: nothing is opened before the first call. This module does not know requests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from turnout.catalog import Catalog, Deployment, ModelCard, Provider
from turnout.catalog.book import free_price
from turnout.catalog.presets import model_facts, presets
from turnout.core import Exclusion
from turnout.providers import Codec, Transport
from turnout.providers.anthropic import AnthropicCodec
from turnout.providers.embedded import EmbeddedTransport
from turnout.providers.openai_chat import OpenAIChatCodec
from turnout.providers.openai_embeddings import OpenAIEmbeddingsCodec
from turnout.providers.responses import ResponsesCodec
from turnout.providers.settings import Refused
from turnout.providers.transport import HttpTransport
from turnout.runtime.local_models import local_models

EMBEDDED_MODEL = "smollm2-135m-instruct"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A deployment's codec, and the transport that carries its bytes.

    ``refused_settings`` are the settings that the model was found to refuse, without tools and
    with tools: some take a reasoning effort, but not together with tools.
    """

    codec: Codec
    transport: Transport
    refused_settings: tuple[set[Refused], set[Refused]] = field(
        default_factory=lambda: (set(), set())
    )


class Backends:
    """One backend per deployment; backends of one API family share a transport."""

    def __init__(self) -> None:
        http = HttpTransport()
        self._transports: Mapping[str, Transport] = {
            "openai": http,
            "openai-responses": http,
            "anthropic": http,
            "embedded": EmbeddedTransport(local_models()),
        }
        self._by_deployment: dict[str, Backend] = {}

    def of(self, deployment: Deployment) -> Backend:
        """The backend that reaches ``deployment``."""
        found = self._by_deployment.get(deployment.id)
        if found is None:
            transport = self._transports[deployment.provider.family]
            found = Backend(codec=_codec(deployment), transport=transport)
            self._by_deployment[deployment.id] = found
        return found

    async def aclose(self) -> None:
        """Close every transport."""
        for transport in set(self._transports.values()):
            await transport.aclose()


def _codec(deployment: Deployment) -> Codec:
    if deployment.card.kind == "embedding":
        return OpenAIEmbeddingsCodec.for_deployment(deployment)
    if deployment.provider.family == "anthropic":
        return AnthropicCodec.for_deployment(deployment)
    if deployment.provider.family == "openai-responses":
        return ResponsesCodec.for_deployment(deployment)
    return OpenAIChatCodec.for_deployment(deployment)


def stand_in_for(catalog: Catalog) -> Deployment | None:
    """The embedded model, if no provider in the catalogue has a key."""
    if any(d.provider.has_key for d in catalog.deployments.values()):
        return None
    facts = model_facts("embedded", EMBEDDED_MODEL)
    return Deployment(
        id="embedded",
        card=ModelCard(
            id=EMBEDDED_MODEL,
            context_window=facts["context_window"],
            tokenizer=facts["tokenizer"],
            tools=False,
            json=False,
        ),
        provider=Provider(name="embedded", base_url="embedded://", family="embedded"),
        price=free_price(presets()["embedded"]["free"]),
    )


def without_key(catalog: Catalog) -> dict[str, Exclusion]:
    """Deployments whose provider lacks its key, each with what to set."""
    return {
        d.id: Exclusion("no_key", f"no key for {d.provider.name}: set {d.provider.api_key_env}")
        for d in catalog.deployments.values()
        if not d.provider.has_key
    }

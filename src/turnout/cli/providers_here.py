"""Which providers can be used from here: those whose key is set, and servers on this machine.

Invariant: nothing leaves this machine unless ``with_models`` is called for a provider elsewhere;
keys are never shown.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from turnout.catalog import Provider
from turnout.catalog.presets import presets
from turnout.core.hosts import LOOPBACK
from turnout.providers import HttpTransport, TransportError
from turnout.runtime.known_models import known_models

_TIMEOUT_S, _LOCAL_TIMEOUT_S = 20.0, 2.0
# The variables that say where Ollama and llama.cpp listen.
_ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 -- is asked as this machine


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundProvider:
    """A provider that can be used, and the ids of the models that it lists.

    ``listed`` is None if it was not asked; ``problem`` says why it did not answer.
    """

    provider: Provider
    listed: tuple[str, ...] | None = None
    problem: str | None = None

    @property
    def name(self) -> str:
        """The preset's name."""
        return self.provider.name

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine."""
        return not self.provider.api_key_env

    @property
    def is_moved(self) -> bool:
        """Whether its address is another than the preset's."""
        return bool(self.provider.base_url != presets()[self.name]["base_url"])


def providers_with_keys(environ: Mapping[str, str]) -> tuple[FoundProvider, ...]:
    """The preset providers whose key is in the environment."""
    found = []
    for name, preset in presets().items():
        variable = preset.get("api_key_env")
        if variable and environ.get(variable, "").strip():
            provider = Provider(
                name=name,
                base_url=preset["base_url"],
                family=preset.get("family", "openai"),
                api_key=environ[variable],
                api_key_env=variable,
            )
            found.append(FoundProvider(provider=provider))
    return tuple(found)


def on_this_machine(environ: Mapping[str, str]) -> tuple[FoundProvider, ...]:
    """Ollama and llama.cpp at their configured or usual address, whether they run or not."""
    port = environ.get("LLAMA_ARG_PORT") or "8080"
    addresses = {"ollama": _ollama(environ), "llamacpp": f"http://127.0.0.1:{port}"}
    return tuple(
        FoundProvider(provider=Provider(name=name, base_url=f"{address}/v1"))
        for name, address in addresses.items()
        if address
    )


def _ollama(environ: Mapping[str, str]) -> str | None:
    """The address in ``OLLAMA_HOST``; None for another machine, or for no address."""
    configured = environ.get("OLLAMA_HOST", "").strip()
    parts = urlsplit(configured if "://" in configured else f"http://{configured}")
    host = parts.hostname or "127.0.0.1"
    try:
        port = parts.port or 11434
    except ValueError:
        return None
    if host in _ANY_ADDRESS:
        host = "127.0.0.1"
    if host not in LOOPBACK:
        return None
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def with_models(found: Sequence[FoundProvider]) -> tuple[FoundProvider, ...]:
    """The providers with the models that each lists; one GET per provider."""
    return asyncio.run(_with_models(found))


async def _with_models(found: Sequence[FoundProvider]) -> tuple[FoundProvider, ...]:
    transport = HttpTransport()
    try:
        return tuple(await asyncio.gather(*(_with_models_of(one, transport) for one in found)))
    finally:
        await transport.aclose()


async def _with_models_of(found: FoundProvider, transport: HttpTransport) -> FoundProvider:
    timeout_s = _LOCAL_TIMEOUT_S if found.is_local else _TIMEOUT_S
    try:
        ids = await known_models(found.provider, transport, timeout_s)
    except TransportError as error:
        return replace(found, problem=str(error))
    if not ids:
        return replace(found, problem="it lists no models")
    return replace(found, listed=tuple(ids))

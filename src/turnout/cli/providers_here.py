"""Which providers can be used from here: those whose key is set, and servers on this machine.

Invariant: nothing leaves this machine unless ``asked`` is called for a provider elsewhere; keys are
never shown.
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

_PATIENCE_S, _PATIENCE_HERE_S = 20.0, 2.0
# The variables that say where Ollama and llama.cpp listen.
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 -- is asked as this machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
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
    def local(self) -> bool:
        """Whether it runs on this machine."""
        return not self.provider.api_key_env

    @property
    def moved(self) -> bool:
        """Whether its address is another than the preset's."""
        return bool(self.provider.base_url != presets()[self.name]["base_url"])


def with_keys(environ: Mapping[str, str]) -> tuple[Found, ...]:
    """The preset providers whose key is in the environment."""
    found = []
    for name, facts in presets().items():
        variable = facts.get("api_key_env")
        if variable and environ.get(variable, "").strip():
            provider = Provider(
                name=name,
                base_url=facts["base_url"],
                family=facts.get("family", "openai"),
                api_key=environ[variable],
                api_key_env=variable,
            )
            found.append(Found(provider=provider))
    return tuple(found)


def on_this_machine(environ: Mapping[str, str]) -> tuple[Found, ...]:
    """Ollama and llama.cpp at their configured or usual address, whether they run or not."""
    port = environ.get("LLAMA_ARG_PORT") or "8080"
    addresses = {"ollama": _ollama(environ), "llamacpp": f"http://127.0.0.1:{port}"}
    return tuple(
        Found(provider=Provider(name=name, base_url=f"{address}/v1"))
        for name, address in addresses.items()
        if address
    )


def _ollama(environ: Mapping[str, str]) -> str | None:
    """The address in ``OLLAMA_HOST``; None for another machine, or for no address."""
    given = environ.get("OLLAMA_HOST", "").strip()
    parts = urlsplit(given if "://" in given else f"http://{given}")
    host = parts.hostname or "127.0.0.1"
    try:
        port = parts.port or 11434
    except ValueError:
        return None
    if host in _EVERYWHERE:
        host = "127.0.0.1"
    if host not in LOOPBACK:
        return None
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def asked(found: Sequence[Found]) -> tuple[Found, ...]:
    """The providers with the models that each lists; one GET per provider."""
    return asyncio.run(_asked(found))


async def _asked(found: Sequence[Found]) -> tuple[Found, ...]:
    transport = HttpTransport()
    try:
        return tuple(await asyncio.gather(*(_one(one, transport) for one in found)))
    finally:
        await transport.aclose()


async def _one(found: Found, transport: HttpTransport) -> Found:
    patience_s = _PATIENCE_HERE_S if found.local else _PATIENCE_S
    try:
        ids = await known_models(found.provider, transport, patience_s)
    except TransportError as error:
        return replace(found, problem=str(error))
    if not ids:
        return replace(found, problem="it lists no models; is the key right?")
    return replace(found, listed=tuple(ids))

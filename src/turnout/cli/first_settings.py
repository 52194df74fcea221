"""The first ``turnout.yaml``: three models out of what was found, and the file that names them.

Invariant: a model without a known price is not chosen, and what is written can be loaded. Prices
stand for strength, since nothing was measured yet. This module makes no calls.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import orjson

from turnout.catalog import Deployment, build
from turnout.catalog.presets import presets
from turnout.catalog.served import is_other_model
from turnout.cli.providers_here import FoundProvider
from turnout.config import load_mapping
from turnout.core import ConfigError, usd_from_pico

ROLES = ("fast", "strong", "coder")
_INTENTS = {"simple_qa": "fast", "creative": "strong", "code": "coder"}
_BILLIONS = re.compile(r"(\d+(?:\.\d+)?)b\b")
_NOT_CHAT = re.compile(r"embed|bge|minilm|e5-|rerank|whisper|tts|guard|clip", re.IGNORECASE)
_COMMENT_COLUMN = 56
_HEAD = "# Written by turnout init. All of it is yours to change: docs/configuration.md."

# What a line of the file says, and the comment after it.
Line = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A model chosen for a role: its ``deployment``, and the provider that was ``found``."""

    found: FoundProvider
    deployment: Deployment

    @property
    def model(self) -> str:
        """The model's id."""
        return self.deployment.model

    @property
    def usd_per_mtok(self) -> tuple[str, str]:
        """USD per million tokens of input and output, with at least two decimals."""
        price = self.deployment.price
        rates = (price.rates.input, price.rates.output) if price else (0, 0)
        input_usd, output_usd = (usd_from_pico(rate * 10**6).normalize() for rate in rates)
        return _dollars(input_usd), _dollars(output_usd)

    @property
    def cost(self) -> str:
        """The price in words."""
        if self.found.is_local:
            return "free"
        input_usd, output_usd = self.usd_per_mtok
        return f"${input_usd} read, ${output_usd} written a million tokens"


def _dollars(amount: Decimal) -> str:
    exponent = amount.as_tuple().exponent
    return f"{amount:f}" if isinstance(exponent, int) and exponent < -2 else f"{amount:.2f}"


def choose_models(found: Sequence[FoundProvider], environ: Mapping[str, str]) -> dict[str, Choice]:
    """The models for ``fast``, ``strong`` and ``coder``; empty if none can be chosen.

    The cheapest of what each provider has for ``fast`` and ``coder``, the dearest for ``strong``;
    on this machine the smallest and the largest, by the sizes in their names.
    """
    offers = {role: list(_offers(found, role, environ)) for role in ROLES}
    best = {
        "fast": min(offers["fast"], key=_cost, default=None),
        "strong": max(offers["strong"], key=_cost, default=None),
        "coder": min(offers["coder"], key=_cost, default=None),
    }
    fallback = best["strong"] or best["fast"]
    whole = {role: choice or fallback for role, choice in best.items()}
    return {role: choice for role, choice in whole.items() if choice is not None}


def settings_text(roles: Mapping[str, Choice]) -> str:
    """The file; a model that has two roles is named once."""
    names, single_provider = _names(roles), _has_one_provider(roles)
    lines = [
        *_providers(roles),
        ("models:", "name: model; turnout doctor tries each of them"),
        *(
            _model(role, roles[role], single_provider=single_provider)
            for role in dict.fromkeys(names.values())
        ),
        ("intents:", "which kind of prompt goes to which; add your own"),
        *((f"  {intent}: {names[role]}", "") for intent, role in _INTENTS.items()),
        ("  unsafe: block", "gets the refusal, and no model is asked"),
        (f"default: {names['fast']}", "all other prompts, and those in doubt"),
        ("refusal: I can't help with that.", ""),
    ]
    width = min(_COMMENT_COLUMN, max(len(line) for line, comment in lines if comment))
    aligned = [f"{line.ljust(width)}  # {comment}" if comment else line for line, comment in lines]
    return "\n".join([_HEAD, *aligned]) + "\n"


def _offers(
    found: Sequence[FoundProvider], role: str, environ: Mapping[str, str]
) -> Iterator[Choice]:
    """What each provider has for the role: the first model that is listed and has a price."""
    for candidate in found:
        wanted = _local(candidate, role) if candidate.is_local else _picks(candidate, role)
        priced = (_priced(candidate, model, environ) for model in wanted)
        first = next((deployment for deployment in priced if deployment is not None), None)
        if first is not None:
            yield Choice(found=candidate, deployment=first)


def _picks(found: FoundProvider, role: str) -> list[str]:
    known = presets()[found.name]["picks"].get(role, ())
    if found.listed is None:
        return list(known)
    return [
        model
        for model in known
        if any(not is_other_model(model, listed) for listed in found.listed)
    ]


def _local(found: FoundProvider, role: str) -> list[str]:
    """The models of a server on this machine, the best for the role first."""
    chats = [model for model in found.listed or () if not _NOT_CHAT.search(model)]
    if role == "coder":
        chats = [model for model in chats if "code" in model.casefold()]
    return sorted(chats, key=_billions, reverse=role != "fast")


def _billions(model: str) -> float:
    sizes = _BILLIONS.findall(model.casefold())
    return max(map(float, sizes), default=0.0)


def _priced(found: FoundProvider, model: str, environ: Mapping[str, str]) -> Deployment | None:
    providers = {found.name: {"base_url": found.provider.base_url}} if found.is_moved else {}
    settings = {
        "providers": providers,
        "models": {"one": {"model": model, "provider": found.name}},
        "default": "one",
    }
    try:
        return build(load_mapping(settings, environ), environ).deployments["one"]
    except ConfigError:
        return None


def _cost(choice: Choice) -> float:
    """The price of three input tokens and one output token."""
    price = choice.deployment.price
    return float(3 * price.rates.input + price.rates.output) if price else 0.0


def _names(roles: Mapping[str, Choice]) -> dict[str, str]:
    """The name of each role's model: the first role that it was chosen for."""
    first: dict[tuple[str, str], str] = {}
    return {
        role: first.setdefault((choice.found.name, choice.model), role)
        for role, choice in roles.items()
    }


def _has_one_provider(roles: Mapping[str, Choice]) -> bool:
    return len({choice.found.name for choice in roles.values()}) == 1


def _providers(roles: Mapping[str, Choice]) -> Iterator[Line]:
    used = {choice.found.name: choice.found for choice in roles.values()}
    moved = [found for found in used.values() if found.is_moved]
    if moved:
        yield "providers:", ""
        for found in moved:
            yield f"  {found.name}: {{base_url: {_quoted(found.provider.base_url)}}}", ""
    if _has_one_provider(roles):
        (found,) = used.values()
        variable = found.provider.api_key_env
        comment = f"its key is read from {variable}" if variable else "runs on this machine"
        yield f"provider: {found.name}", comment


def _model(role: str, choice: Choice, *, single_provider: bool) -> Line:
    model = _quoted(choice.model)
    value = model if single_provider else f"{{model: {model}, provider: {choice.found.name}}}"
    return f"  {role}: {value}", choice.cost


def _quoted(value: str) -> str:
    """The value, quoted so that YAML reads it back."""
    plain = re.fullmatch(r"[A-Za-z][\w./-]*", value)
    return value if plain else orjson.dumps(value).decode()

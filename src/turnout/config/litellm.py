"""A LiteLLM proxy's configuration as Turnout's own settings.

Invariant: settings without a counterpart are named in ``left_out``, never dropped silently. Facts
about LiteLLM's file are from docs.litellm.ai/docs/proxy/configs. This module reads no file, makes
no calls, and does not know prices.
"""

import re
from collections.abc import Mapping
from typing import Any

from turnout.config.imported import Imported
from turnout.core import ConfigError

# LiteLLM's prefixes of providers that have a preset here.
_PRESETS = {
    "openai": "openai", "text-completion-openai": "openai", "anthropic": "anthropic",
    "openrouter": "openrouter", "deepseek": "deepseek", "groq": "groq", "together_ai": "together",
    "ollama": "ollama", "ollama_chat": "ollama",
}  # fmt: skip
# Base URLs with OpenAI's API, and the variable in which LiteLLM looks for the key.
_ADDRESSES = {
    "gemini": ("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    "mistral": ("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "xai": ("https://api.x.ai/v1", "XAI_API_KEY"),
    "fireworks_ai": ("https://api.fireworks.ai/inference/v1", "FIREWORKS_AI_API_KEY"),
    "cerebras": ("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "deepinfra": ("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "nvidia_nim": ("https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
    "perplexity": ("https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
}
# The paths that follow a base URL of the user's own in LiteLLM's calls.
_ENDINGS = {"azure": "/openai/v1", "anthropic": "/v1", "ollama": "/v1", "ollama_chat": "/v1"}
_AUTO = "auto_router/complexity_router"
_TIERS = {
    "SIMPLE": ("simple_qa", "chat", "translation", "extraction"),
    "MEDIUM": ("summarization", "writing", "creative"),
    "COMPLEX": ("code",),
    "REASONING": ("reasoning",),
}
_VARIABLE = re.compile(r"os\.environ/([A-Za-z_][A-Za-z0-9_]*)")
_BALANCE = {"simple-shuffle": "weighted", "least-busy": "least_outstanding"}
_READ_PARAMS = frozenset(
    {"model", "api_key", "api_base", "base_url", "weight", "input_cost_per_token"}
    | {"output_cost_per_token", "cache_read_input_token_cost", "cache_creation_input_token_cost"}
    | {"complexity_router_config", "complexity_router_default_model"}
)  # fmt: skip
_READ_INFO = frozenset({"id", "mode", "max_input_tokens", "max_output_tokens"}) | _READ_PARAMS
_RATES = (
    ("input", "input_cost_per_token"),
    ("output", "output_cost_per_token"),
    ("cache_read", "cache_read_input_token_cost"),
    ("cache_write", "cache_creation_input_token_cost"),
)
# The places of LiteLLM's settings in ours.
_SETTINGS = {
    "num_retries": ("retries", "retries"),
    "request_timeout": ("timeouts", "total_s"),
    "timeout": ("timeouts", "total_s"),
    "stream_timeout": ("timeouts", "first_token_s"),
    "allowed_fails": ("health", "failures"),
    "cooldown_time": ("health", "cooldown_s"),
}
_ELSEWHERE = {
    "master_key": "keys stand in TURNOUT_KEYS, or are made by `turnout keys create`",
    "database_url": "give `ledger: postgresql://...` a database of its own",
    "context_window_fallbacks": "not needed: a model whose window is too small is not asked",
    "drop_params": "not needed: what a model refuses to take is left out by itself",
}


def import_config(document: Mapping[str, Any], name: str) -> Imported:
    """The settings that mean the same as a LiteLLM configuration.

    Raises ConfigError if it has no model that can be called here.
    """
    listed = document.get("model_list")
    if not isinstance(listed, list) or not listed:
        raise ConfigError(f"{name}: no model_list; give the config.yaml of a LiteLLM proxy")
    result = Imported(settings={"providers": {}, "models": {}, "intents": {"unsafe": "block"}})
    routers = []
    for number, entry in enumerate(listed):
        where = f"model_list[{number}]"
        params = entry.get("litellm_params") if isinstance(entry, dict) else None
        if not isinstance(params, dict) or not entry.get("model_name") or not params.get("model"):
            raise ConfigError(f"{name}: {where} needs model_name, and model in litellm_params")
        if params["model"] == _AUTO:
            routers.append((str(entry["model_name"]), params))
        else:
            _add_model(result, where, entry, params)
    models = result.settings["models"]
    if not models:
        raise ConfigError(
            "\n".join([f"{name}: no model that can be called here", *result.left_out])
        )
    result.settings["default"] = next(
        (name for name, model in models.items() if "kind" not in model), next(iter(models))
    )
    _add_shared_settings(result, document)
    for alias, params in routers:
        _add_tiers(result, alias, params)
    _simplify(result)
    result.settings = {key: value for key, value in result.settings.items() if value}
    return result


def _add_model(
    result: Imported, where: str, entry: Mapping[str, Any], params: Mapping[str, Any]
) -> None:
    """Adds one entry as a model, or as another deployment of a known model."""
    name, info = str(entry["model_name"]), _mapping(entry.get("model_info"))
    provider, model = _provider_and_model(str(params["model"]))
    base = params.get("api_base") or params.get("base_url")
    if "*" in name or (provider not in {*_PRESETS, *_ADDRESSES} and not base):
        result.left_out.append(f"{where}: {name} ({params['model']}) cannot be called from here")
        return
    result.note_unread(where, params, _READ_PARAMS)
    result.note_unread(f"{where}.model_info", info, _READ_INFO)
    place: dict[str, Any] = {"provider": _provider(result, provider, base), "model": model}
    if base:
        place["base_url"] = _address(provider, str(base))
    if key := params.get("api_key"):
        place["api_key"] = _text(str(key))
    if price := _price({**info, **params}, where):
        place["price"] = price
    models = result.settings["models"]
    if name in models:
        models[name]["deployments"].append(place)
        models[name]["balance"] = "weighted"
    else:
        models[name] = {"model": model, "deployments": [place], **_facts(info)}
    if weight := params.get("weight"):
        place["weight"] = weight


def _provider_and_model(model: str) -> tuple[str, str]:
    """Provider and id of a name such as ``groq/llama-3.3-70b``."""
    prefix, slash, rest = model.partition("/")
    if slash:
        return prefix, rest
    return ("anthropic" if model.startswith("claude") else "openai"), model


def _provider(result: Imported, provider: str, base: object) -> str:
    """The provider's name in the settings, to which it is added if missing."""
    if provider in _PRESETS:
        return _PRESETS[provider]
    address, variable = _ADDRESSES.get(provider, ("", ""))
    section = {"base_url": address or _address(provider, str(base))}
    if variable:
        section["api_key"] = f"${{{variable}}}"
    result.settings["providers"].setdefault(provider, section)
    return provider


def _address(provider: str, base: str) -> str:
    base, ending = _text(base.rstrip("/")), _ENDINGS.get(provider, "")
    return base if not ending or base.endswith("/v1") else base + ending


def _text(value: str) -> str:
    """The value with LiteLLM's form of a variable written as ``${NAME}``."""
    return _VARIABLE.sub(r"${\1}", value)


def _price(stated: Mapping[str, Any], where: str) -> dict[str, Any] | None:
    """Dollars per million tokens, if both input and output are given."""
    rates = {}
    for own, theirs in _RATES:
        if theirs in stated:
            try:
                rates[own] = round(float(stated[theirs]) * 1e6, 9)
            except (TypeError, ValueError) as error:
                raise ConfigError(f"{where}: {theirs} is {stated[theirs]!r}, no number") from error
    complete = {"input", "output"} <= set(rates)
    return {**rates, "source": "LiteLLM configuration"} if complete else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _facts(info: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if info.get("mode") == "embedding":
        facts["kind"] = "embedding"
    for own, theirs in (
        ("context_window", "max_input_tokens"),
        ("max_output", "max_output_tokens"),
    ):
        if theirs in info:
            facts[own] = info[theirs]
    return facts


def _add_shared_settings(result: Imported, document: Mapping[str, Any]) -> None:
    """The file's settings for all models: fallbacks, aliases, deadlines and retries, balance."""
    sections = ("litellm_settings", "router_settings", "general_settings")
    for section in sections:
        for key, value in _mapping(document.get(section)).items():
            if not _carry_over(result.settings, key, value):
                why = _ELSEWHERE.get(key, "is not carried over")
                result.left_out.append(f"{section}.{key}: {why}")
    for key in sorted(set(document) - {"model_list", *sections}):
        result.left_out.append(f"{key}: is not carried over")


def _carry_over(settings: dict[str, Any], key: str, value: Any) -> bool:
    """Sets the counterpart of a setting; returns whether there is one."""
    models = settings["models"]
    if key == "fallbacks" and isinstance(value, list):
        fallbacks = {name: to for one in value for name, to in _mapping(one).items()}
        settings["fallbacks"] = {**settings.get("fallbacks", {}), **fallbacks}
    elif key == "default_fallbacks" and isinstance(value, list):
        defaults = {name: [to for to in value if to != name] for name in models}
        settings["fallbacks"] = {**defaults, **settings.get("fallbacks", {})}
    elif key == "model_group_alias" and isinstance(value, dict):
        settings["aliases"] = {alias: _target(to) for alias, to in value.items()}
    elif key == "routing_strategy" and str(value) in _BALANCE:
        for model in models.values():
            model["balance"] = _BALANCE[value]
    elif key in _SETTINGS:
        section, name = _SETTINGS[key]
        settings.setdefault(section, {})[name] = value
    else:
        return False
    return True


def _target(alias: Any) -> str:
    return str(alias.get("model")) if isinstance(alias, Mapping) else str(alias)


def _simplify(result: Imported) -> None:
    """Writes models with one deployment in short, and removes names of models that do not exist."""
    models = result.settings["models"]
    for model in models.values():
        if len(model["deployments"]) == 1 and not {"api_key", "base_url"} & {
            *model["deployments"][0]
        }:
            model.update(model.pop("deployments")[0])
            model.pop("balance", None)
            model.pop("weight", None)
    kept = {}
    for name, targets in result.settings.get("fallbacks", {}).items():
        others = [str(one) for one in (targets if isinstance(targets, list) else [targets])]
        missing = [one for one in (name, *others) if one not in models]
        result.left_out += [f"fallbacks of {name}: {one} is no model here" for one in missing]
        if name in models:
            kept[name] = [one for one in others if one in models]
    result.settings["fallbacks"] = kept


def _add_tiers(result: Imported, alias: str, params: Mapping[str, Any]) -> None:
    """An automatic router of tiers as an intent map, under its name."""
    tiers = _mapping(_mapping(params.get("complexity_router_config")).get("tiers"))
    for tier, labels in _TIERS.items():
        model = tiers.get(tier)
        if isinstance(model, str) and model in result.settings["models"]:
            result.settings["intents"].update(dict.fromkeys(labels, model))
        elif model is not None:
            result.left_out.append(f"{alias}: tier {tier} names {model!r}, which is no model here")
    usual = str(params.get("complexity_router_default_model"))
    if usual in result.settings["models"]:
        result.settings["default"] = usual
    result.settings.setdefault("aliases", {})[alias] = "auto"

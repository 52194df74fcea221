"""From the configuration to the policy, to limits by intent and key, and to the verifier."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, tzinfo
from importlib import import_module

from turnout.catalog import Catalog, Deployment
from turnout.classifiers.success.bundle import Bundle
from turnout.config import BLOCK, Config, KnobSection, digest, errors_at
from turnout.core import ConfigError, Constraints, pico_from_usd
from turnout.core.plural import some_of
from turnout.decision import Knobs
from turnout.policies import (
    Cascade,
    Cheapest,
    CheapestAboveQuality,
    Explore,
    Fixed,
    IntentMap,
    Policy,
    Random,
    Rule,
    Rules,
    Strongest,
    Utility,
    Weighted,
)
from turnout.runtime.judge import ByModel
from turnout.runtime.means import Verifier
from turnout.runtime.verify import ByFunction, ByLogprobs, BySchema, Check

_QUALITY_POLICIES = frozenset({"cheapest_above_quality", "utility", "cascade"})


def main_policy(config: Config, catalog: Catalog, success: Bundle | None) -> Policy:
    """The policy of the configuration, which may explore. Raises ConfigError."""
    policy, share = policy_of(config, catalog, config.policy.name, success), config.policy.explore
    return Explore(share=share, below=policy) if share else policy


def policy_of(config: Config, catalog: Catalog, name: str, success: Bundle | None) -> Policy:
    """The policy called ``name``, with the parameters of the configuration's policy section.

    Raises ConfigError if it lacks what it needs to choose.
    """
    rule, model = config.policy, config.policy.model or ""
    makers: dict[str, Callable[[], Policy]] = {
        "cheapest": Cheapest,
        "random": Random,
        "strongest": lambda: Strongest(order=tuple(d.id for d in catalog.by_strength())),
        "cheapest_above_quality": lambda: _cheapest_above_quality(config, success),
        "utility": lambda: Utility(per_usd=rule.per_usd, per_second=rule.per_second),
        "weighted": lambda: Weighted(weights=rule.weights, split=rule.split),
        "cascade": lambda: _cascade(config, catalog),
        "rules": lambda: Rules(
            rules=_rules(config), otherwise=policy_of(config, catalog, rule.otherwise, success)
        ),
        "fixed": lambda: Fixed(
            deployment=model, fallbacks=config.fallbacks.get(model, ()), reason="the fixed model"
        ),
        "intent_map": lambda: IntentMap(
            routes={k: v for k, v in config.routes.items() if v != BLOCK},
            default=config.default,
            fallbacks=config.fallbacks,
            digest=digest(config),
        ),
    }
    policy = makers[name]()
    if name in _QUALITY_POLICIES:
        _check_qualities(config, catalog, name, success)
    return policy


def _check_qualities(config: Config, catalog: Catalog, name: str, success: Bundle | None) -> None:
    """Raises ConfigError if no model's quality is known.

    Unknown qualities count as 0, so that the cheapest model would take every request.
    """
    if len(_unknown_models(catalog, success)) < len(catalog.deployments):
        return
    where, fix = config.at("policy"), "give it a bundle (turnout train success), or each model"
    if success is not None:
        where = config.at("policy", "bundle")
        known = ", ".join(success.predictor.models)
        fix = f"{success.folder} knows {known}; name models as it does, or give each"
    raise ConfigError(f"{where} {name} knows no model's quality: {fix} a quality")


def unknown_qualities(config: Config, catalog: Catalog, success: Bundle | None) -> str | None:
    """Says which models a policy by quality counts as never right; None if there are none."""
    if _QUALITY_POLICIES.isdisjoint(config.policy.policy_names):
        return None
    unknown = _unknown_models(catalog.only("chat"), success)
    if not unknown:
        return None
    known = f"{success.folder} knows {some_of(success.predictor.models)}; " if success else ""
    return (
        f"quality unknown, counted as never right: {', '.join(dict.fromkeys(unknown))}; {known}"
        f"{'name models as it does, or ' if success else ''}give each a quality"
    )


def _unknown_models(catalog: Catalog, success: Bundle | None) -> list[str]:
    """The models whose quality neither the bundle nor the configuration has."""
    known = success.predictor.models if success else ()
    models = catalog.deployments.values()
    return [d.model for d in models if d.model not in known and d.card.quality is None]


def knobs_of(config: Config) -> Knobs | None:
    """The limits by intent and by key; None if there are none."""
    section = config.knobs
    if section is None:
        return None
    return Knobs(
        all=_limits(section.all),
        intents={name: _limits(knob) for name, knob in section.intents.items()},
        keys={name: _limits(knob) for name, knob in section.keys.items()},
    )


def _limits(knob: KnobSection) -> Constraints:
    cost = knob.max_cost_usd
    return Constraints(
        max_cost_pico_usd=None if cost is None else pico_from_usd(cost),
        max_latency_ms=knob.max_latency_ms,
        quality=knob.quality,
    )


def verifier_of(config: Config, catalog: Catalog, stand_in: Deployment | None) -> Verifier | None:
    """What verifies the drafts of a cascade; None without one.

    With a stand-in there is no stronger model to escalate to, and so no verifier. Raises
    ConfigError if the check cannot be loaded.
    """
    section = config.policy.verify
    if section is None or stand_in is not None or "cascade" not in config.policy.policy_names:
        return None
    if section.kind == "schema":
        with errors_at(config, "policy", "verify", "schema"):
            return BySchema(section.json_schema)
    if section.kind == "logprobs":
        return ByLogprobs(section.at_least)
    if section.kind == "function":
        with errors_at(config, "policy", "verify", "function"):
            name = section.function or ""
            return ByFunction(name, _imported_check(name), section.deadline_s)
    return ByModel(
        deployment=catalog.first_deployment(section.model or ""), deadline_s=section.deadline_s
    )


def _rules(config: Config) -> tuple[Rule, ...]:
    zone: tzinfo = UTC
    if config.policy.timezone is not None:
        from zoneinfo import ZoneInfo

        zone = ZoneInfo(config.policy.timezone)
    return tuple(
        Rule(
            name=rule.name,
            deployment=rule.model,
            keywords=rule.keywords,
            pattern=rule.pattern,
            tags=rule.tags,
            hours=rule.hours,
            zone=zone,
            kind=rule.kind,
        )
        for rule in config.policy.rules
    )


def _imported_check(place: str) -> Check:
    module, _, name = place.partition(":")
    try:
        found: Check = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{place!r} cannot be imported ({error}); install the module, or set PYTHONPATH"
        ) from error
    return found


def _cascade(config: Config, catalog: Catalog) -> Cascade:
    """The cascade, which drafts what its verifier can verify. Raises ConfigError for nothing."""
    rule = config.policy
    verify = rule.verify
    if verify is None:
        return Cascade(steps=rule.steps)
    if verify.kind == "function":
        return Cascade(steps=rule.steps, judge=verify.function)
    if verify.kind == "schema":
        return Cascade(steps=rule.steps, needs_schema=True)
    if verify.kind == "model":
        return Cascade(steps=rule.steps, judge=catalog.first_deployment(verify.model or "").id)
    every = catalog.deployments.values()
    others = {d.configured_name for d in every if d.provider.family != "openai"}
    drafting = frozenset(d.id for d in every if d.configured_name not in others)
    if not drafting:
        raise ConfigError(
            f"{config.at('policy', 'verify')} kind logprobs needs a model at an OpenAI-compatible "
            "provider, as no other sends log-probabilities; use another kind"
        )
    return Cascade(steps=rule.steps, drafting=drafting)


def _cheapest_above_quality(config: Config, success: Bundle | None) -> Policy:
    """The policy for the configured target, with what was calibrated for it."""
    rule, promises = config.policy, success.promises if success else ()
    chosen = CheapestAboveQuality(
        calibrated=success.thresholds_by_quality(rule.steady) if success else (),
        steady=rule.steady,
        usual=success.mean_qualities if success and rule.steady else (),
    )
    if rule.lost is None:
        return chosen if rule.quality is None else replace(chosen, quality=rule.quality)
    alike = (p for p in promises if p.steady == rule.steady)
    kept = [p.threshold for p in alike if p.lost is not None and p.lost <= rule.lost]
    if not kept:
        place = rule.bundle or "BUNDLE"
        margin = f" --steady {rule.steady:g}" if rule.steady else ""
        raise ConfigError(
            f"{config.at('policy', 'lost')} {rule.lost:g} is not calibrated; run: turnout "
            f"calibrate --table PATH --bundle {place} --lost {rule.lost:g}{margin}"
        )
    return replace(chosen, threshold=min(kept))

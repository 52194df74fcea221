"""From the configuration's policy section to the rule that chooses, and to what verifies drafts."""

from collections.abc import Callable
from importlib import import_module

from turnout.catalog import Catalog, Deployment
from turnout.classifiers.success.bundle import Bundle
from turnout.config import BLOCK, Config, digest
from turnout.core import ConfigError
from turnout.policies import (
    Cascade,
    Cheapest,
    CheapestAboveQuality,
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
from turnout.runtime.verify import ByFunction, ByLogprobs, BySchema, Check, Verifier


def policy_of(config: Config, catalog: Catalog, name: str, success: Bundle | None) -> Policy:
    """The policy called ``name``, with the parameters of the configuration's policy section."""
    rule, model = config.policy, config.policy.model or ""
    makers: dict[str, Callable[[], Policy]] = {
        "cheapest": Cheapest,
        "random": Random,
        "strongest": lambda: Strongest(order=tuple(d.id for d in catalog.by_strength())),
        "cheapest_above_quality": lambda: _above_quality(config, success),
        "utility": lambda: Utility(per_usd=rule.per_usd, per_second=rule.per_second),
        "weighted": lambda: Weighted(weights=rule.weights),
        "cascade": lambda: Cascade(
            steps=rule.steps, needs_schema=rule.verify is not None and rule.verify.kind == "schema"
        ),
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
    return makers[name]()


def verifier_of(config: Config, catalog: Catalog, stand_in: Deployment | None) -> Verifier | None:
    """What verifies the drafts of a cascade; None without one.

    Where a stand-in answers for every model, nobody stronger is there to escalate to. Raises
    ConfigError where the check cannot be had.
    """
    section = config.policy.verify
    if section is None or stand_in is not None or "cascade" not in config.policy.used:
        return None
    if section.kind == "schema":
        return BySchema(section.json_schema)
    if section.kind == "logprobs":
        return ByLogprobs(section.at_least)
    if section.kind == "function":
        return ByFunction(_function(section.function or ""), section.deadline_s)
    return ByModel(
        deployment=catalog.configured(section.model or ""), deadline_s=section.deadline_s
    )


def _rules(config: Config) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            name=rule.name,
            deployment=rule.model,
            keywords=rule.keywords,
            pattern=rule.pattern,
            tags=rule.tags,
            hours=rule.hours,
        )
        for rule in config.policy.rules
    )


def _function(place: str) -> Check:
    module, _, name = place.partition(":")
    try:
        found: Check = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"policy.verify.function: {place!r} cannot be imported ({error}); "
            "install the module, or set PYTHONPATH"
        ) from error
    return found


def _above_quality(config: Config, success: Bundle | None) -> Policy:
    """The target of the configuration; the calibrated threshold where it was found for that one."""
    stored = success.policy if success else {}
    quality = config.policy.quality
    wanted = stored.get("quality", 0.95) if quality is None else quality
    threshold = stored.get("threshold") if wanted == stored.get("quality") else None
    return CheapestAboveQuality(quality=wanted, threshold=threshold)

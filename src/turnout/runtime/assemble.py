"""From a configuration to a working router's parts.

Invariant: everything fixed that a decision depends on is in the rulebook, under one content hash.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from turnout.catalog import Catalog, Deployment, build
from turnout.classifiers import Classifier
from turnout.classifiers.success.bundle import Bundle, open_bundle
from turnout.config import BLOCK, Config, digest, errors_at
from turnout.core import UNSAFE, ConfigError, Exclusion
from turnout.decision import BLOCKS_NOTHING, Balance, Group, RetryRules, Rulebook, SafetyRule
from turnout.features.tokens import tokenizer
from turnout.ledger import Recorder, recorder_for
from turnout.providers import Timeouts
from turnout.runtime.backends import Backends, stand_in_for, without_key
from turnout.runtime.budgets import budgets_of
from turnout.runtime.caches import Caches
from turnout.runtime.classifier_setup import LabelModel, classifier_of, label_model_of
from turnout.runtime.health import Health, HealthRules
from turnout.runtime.lateness import Lateness
from turnout.runtime.means import Means
from turnout.runtime.policy_setup import (
    knobs_of,
    main_policy,
    policy_of,
    unknown_qualities,
    verifier_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """A router's parts.

    ``catalog`` has all models, ``means`` only chat models, ``embedding`` only embedding models
    (None without one). ``label_model`` is the model asked for a label, None if the local
    classifier works alone. ``unavailable`` are deployments that have no key.
    """

    config: Config
    means: Means
    classifier: Classifier
    success: Bundle | None
    label_model: LabelModel | None
    unavailable: Mapping[str, Exclusion]
    catalog: Catalog
    embedding: Means | None = None

    @property
    def all_means(self) -> list[Means]:
        """The means of answering, and those of embedding if there are any."""
        return [self.means] if self.embedding is None else [self.means, self.embedding]

    @property
    def unknown_qualities(self) -> str | None:
        """Says which models the policy counts as never right; None if there are none."""
        return unknown_qualities(self.config, self.catalog, self.success)

    def unavailable_now(self) -> Mapping[str, Exclusion]:
        """Deployments that cannot be called now, each with the reason."""
        cooling = self.means.health.unavailable(self.unavailable)
        return {**cooling, **self.unavailable} if cooling else self.unavailable


def assemble(
    config: Config,
    environ: Mapping[str, str],
    *,
    recorder: Recorder | None = None,
) -> Assembly:
    """The parts that ``config`` describes. Raises ConfigError if they cannot be had."""
    catalog_of_all = build(config, environ)
    _check_tokenizers(config)
    catalog = catalog_of_all.only("chat")
    classifier = classifier_of(config)
    stand_in = stand_in_for(catalog)
    with errors_at(config, "policy", "bundle"):
        success = open_bundle(config.policy.bundle) if config.policy.bundle else None
    health_rules = HealthRules(**config.health.model_dump())
    means = Means(
        rules=_rulebook(config, catalog, classifier, success),
        backends=Backends(),
        timeouts=Timeouts(**config.timeouts.model_dump(exclude={"hold_s"})),
        retries=RetryRules(**config.retries.model_dump()),
        recorder=_recorder(config, environ, recorder, catalog_of_all, stand_in),
        health=_health(health_rules, catalog, success),
        lateness=Lateness(health_rules),
        stand_in=stand_in,
        verifier=verifier_of(config, catalog, stand_in),
        caches=_caches(config, catalog, stand_in),
    )
    return Assembly(
        config=config,
        means=means,
        catalog=catalog_of_all,
        embedding=_embedding(config, catalog_of_all.only("embedding"), means),
        classifier=classifier,
        success=success,
        label_model=label_model_of(config, catalog, stand_in),
        unavailable={} if stand_in else without_key(catalog),
    )


def _check_tokenizers(config: Config) -> None:
    """Raises ConfigError for a tokenizer's name that is unknown."""
    for name, model in config.models.items():
        if model.tokenizer:
            with errors_at(config, "models", name, "tokenizer"):
                tokenizer(model.tokenizer)


def _recorder(
    config: Config,
    environ: Mapping[str, str],
    given: Recorder | None,
    catalog: Catalog,
    stand_in: Deployment | None,
) -> Recorder:
    """The recorder, with the configuration's budgets. Raises ConfigError if it cannot keep them."""
    recorder = given or recorder_for(config, environ, catalog, stand_in)
    budgets = budgets_of(config)
    if recorder.directory is not None:
        recorder.directory.configure(budgets, catalog)
    elif budgets:
        raise ConfigError(
            f"{config.at('budgets')} budgets need a ledger; remove 'ledger: off' or "
            "--no-ledger, or the budgets"
        )
    return recorder


def _caches(config: Config, catalog: Catalog, stand_in: Deployment | None) -> Caches | None:
    is_on = config.policy.prompt_caches == "priced" and stand_in is None
    return Caches(catalog.deployments) if is_on else None


def _health(rules: HealthRules, catalog: Catalog, success: Bundle | None) -> Health:
    """The health before any call: no failures, and latencies as in the bundle's tables."""
    health = Health(catalog.deployments, rules)
    known = success.catalogue if success else {}
    health.latencies.prior = {
        d.id: known[d.model]["latency_ms"]
        for d in catalog.deployments.values()
        if "latency_ms" in known.get(d.model, {})
    }
    return health


def _rulebook(
    config: Config, catalog: Catalog, classifier: Classifier, success: Bundle | None
) -> Rulebook:
    threshold, knobs = config.safety.threshold, knobs_of(config)
    parts = [digest(config), classifier.ref.digest, *([success.digest] if success else [])]
    return Rulebook(
        catalog=catalog,
        policy=main_policy(config, catalog, success),
        policies={
            name: policy_of(config, catalog, name, success)
            for name in ("cheapest", "strongest", "random")
        },
        safety=SafetyRule(
            threshold=classifier.threshold if threshold is None else threshold,
            refusal=config.refusal,
            block=config.routes.get(UNSAFE, BLOCK) == BLOCK,
            text_only=config.safety.unread == "block",
            pinned=config.safety.pinned == "scan",
        ),
        intents=frozenset(config.intents) - {UNSAFE},
        balance=_balance(config, catalog),
        knobs=knobs,
        reads_latency=config.policy.per_second > 0 or (knobs is not None and knobs.limits_latency),
        bundle="sha256:" + hashlib.sha256("\n".join(parts).encode()).hexdigest(),
    )


def _embedding(config: Config, catalog: Catalog, means: Means) -> Means | None:
    """The means of embedding: with its own models, no safety verdict and no policies to name."""
    if not catalog.deployments:
        return None
    rules = replace(
        means.rules,
        catalog=catalog,
        policies={},
        intents=frozenset(),
        balance=_balance(config, catalog),
        safety=BLOCKS_NOTHING,
    )
    health = Health(catalog.deployments, HealthRules(**config.health.model_dump()))
    return replace(means, rules=rules, health=health, stand_in=None, verifier=None, caches=None)


def _balance(config: Config, catalog: Catalog) -> Balance | None:
    """How models with several deployments share their load; None if there is no such model."""
    group_of = {d.id: d.group for d in catalog.deployments.values() if d.group is not None}
    if not group_of:
        return None
    groups = {
        name: Group(
            weights={i: catalog.deployments[i].weight for i, of in group_of.items() if of == name},
            rule=config.models[name].balance,
        )
        for name in dict.fromkeys(group_of.values())
    }
    return Balance(groups=groups, group_of=group_of)

"""What can be wrong in a configuration of the right shape: names, and the user's own intents.

Invariant: a problem names the place, the value and the fix. This module does not know files.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from turnout.config.choice import IntentSection, PolicySection
from turnout.config.schema import BLOCK, Config
from turnout.core import AUTO, UNSAFE, ConfigError
from turnout.core.nearest import did_you_mean

Problem = tuple[tuple[str, ...], str]

MIN_EXAMPLES, MAX_EXAMPLES = 3, 50
# A label goes into headers, into metrics, and into the question to a label classifier.
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_CHOICES = frozenset({AUTO, "cheapest", "strongest", "random"})
_ASKS_FOR_A_CHOICE = "is taken: it asks for a choice; use another name"
RESERVED_LABELS = frozenset({AUTO, UNSAFE, BLOCK, "unknown"})


@contextmanager
def errors_at(config: Config, *path: str) -> Iterator[None]:
    """Puts the setting's place before an error about what the setting names."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{config.at(*path)} {error}") from error


def normalized_label(label: str) -> str:
    """A label as a model may write it; labels that become equal cannot be distinguished."""
    return label.casefold().replace("-", "_")


def normalized_example(example: str) -> str:
    """An example in the form in which it must be unique."""
    return " ".join(example.casefold().split())


def problems(config: Config) -> Iterator[Problem]:
    """Every problem with its path, the first one first."""
    yield from _embedding_problems(config)
    yield from _alias_problems(config)
    yield from _unknown_models(config)
    yield from _similar_labels(config)
    yield from _budget_problems(config)
    for label in config.knobs.intents if config.knobs else ():
        if label not in config.intents:
            known = ", ".join(config.intents)
            fix = f"use one of {known}" if known else "add it there"
            yield ("knobs", "intents", label), f"{label!r} is not in intents; {fix}"
    for name in config.models:
        if name in _CHOICES:
            yield ("models", name), f"{name!r} {_ASKS_FOR_A_CHOICE}"
    seen: dict[str, str] = {}
    for label, intent in config.intents.items():
        if intent.examples or intent.threshold is not None:
            yield from _intent_problems(label, intent, seen)
        if label in _CHOICES:
            yield ("intents", label), f"{label!r} {_ASKS_FOR_A_CHOICE}"
        elif label in config.models and label != intent.model:
            why = f"requests for it would go to {intent.model!r}; use another name"
            yield ("intents", label), f"{label!r} is a model, too, and {why}"


def _budget_problems(config: Config) -> Iterator[Problem]:
    seen = set()
    for place, budget in enumerate(config.budgets):
        path, what = ("budgets", str(place)), (budget.per, budget.name, budget.window)
        if budget.per == "model" and budget.name and budget.name not in config.models:
            fix = did_you_mean(budget.name, list(config.models))
            yield (*path, "name"), f"{budget.name!r} is not in models; {fix}"
        if (*what, budget.amount[0]) in seen:
            yield path, f"is for the same, in the same {budget.window}, as another; keep one"
        seen.add((*what, budget.amount[0]))


def _embedding_problems(config: Config) -> Iterator[Problem]:
    name = config.embeddings
    known = [n for n, model in config.models.items() if model.kind == "embedding"]
    if name is not None and name not in known:
        fix = f"use one of {', '.join(known)}" if known else "give a model kind: embedding"
        yield ("embeddings",), f"{name!r} is not an embedding model; {fix}"


def _alias_problems(config: Config) -> Iterator[Problem]:
    ids = {model.model for model in config.models.values()}
    known = {*_CHOICES, *config.routes, *config.models, *ids} - {UNSAFE}
    for alias, target in config.aliases.items():
        if alias in known:
            yield ("aliases", alias), f"{alias!r} is taken; choose another name"
        elif target not in known:
            names = ", ".join(sorted({AUTO, *config.models}))
            yield ("aliases", alias), f"{target!r} cannot be asked for; use {names}"


def _unknown_models(config: Config) -> Iterator[Problem]:
    used: list[tuple[tuple[str, ...], str]] = [(("default",), config.default)]
    used += [
        (("intents", k), v) for k, v in config.routes.items() if not (k == UNSAFE and v == BLOCK)
    ]
    used += [(("fallbacks", k), k) for k in config.fallbacks]
    used += [(("fallbacks", k), v) for k, vs in config.fallbacks.items() for v in vs]
    used += _policy_models(config.policy)
    used += [
        ((section, "model"), model)
        for section, model in (
            ("policy", config.policy.model),
            ("classifier", config.classifier.model),
        )
        if model is not None
    ]
    for path, model in used:
        if model in config.models and config.models[model].kind == "embedding":
            # One list of fallbacks for all models is stored under every name.
            if path != ("fallbacks", model):
                yield path, f"{model!r} is an embedding model; name a chat model"
            continue
        if model not in config.models:
            fix = did_you_mean(model, config.models)
            if model == BLOCK:
                fix = f"only {UNSAFE} can be blocked; {fix}"
            elif path == ("intents", UNSAFE):
                fix = f"{BLOCK} refuses such prompts; {fix}"
            yield path, f"{model!r} is not in models; {fix}"


def _policy_models(policy: PolicySection) -> Iterator[tuple[tuple[str, ...], str]]:
    yield from ((("policy", "weights", k), k) for k in policy.weights)
    yield from (
        (("policy", "rules", str(n), "model"), rule.model) for n, rule in enumerate(policy.rules)
    )
    if policy.verify is not None and policy.verify.model is not None:
        yield ("policy", "verify", "model"), policy.verify.model


def _similar_labels(config: Config) -> Iterator[Problem]:
    """Labels that a model's answer could not distinguish."""
    seen: dict[str, str] = {}
    for label in config.intents:
        name = normalized_label(label)
        if name in seen:
            yield ("intents", label), f"is too like {seen[name]!r}; give one another name"
        seen[name] = label


def _intent_problems(label: str, intent: IntentSection, seen: dict[str, str]) -> Iterator[Problem]:
    place = ("intents", label)
    if label in RESERVED_LABELS:
        yield (*place, "examples"), f"{label!r} cannot be learned; give your intent another name"
    if not _LABEL.fullmatch(label):
        yield place, "is no label; use a letter, then up to 63 letters, digits or signs of _ . -"
    count = len(intent.examples)
    if not MIN_EXAMPLES <= count <= MAX_EXAMPLES:
        yield (
            (*place, "examples"),
            f"has {count}; give {MIN_EXAMPLES} to 10 prompts as people write them"
            + (f", and no more than {MAX_EXAMPLES}" if count else ""),
        )
    for number, example in enumerate(intent.examples):
        at, text = (*place, "examples", str(number)), normalized_example(example)
        if not text:
            yield at, "is empty; write a prompt, or leave it out"
        elif text in seen:
            yield at, f"{example!r} is an example of {seen[text]} already; give each one once"
        seen[text] = label

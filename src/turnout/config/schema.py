"""The shape of ``turnout.yaml`` as a whole, and its shorthands written out.

This module does not know files, the environment, presets or classes of other packages.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from turnout.config.choice import (
    ClassifierSection,
    IntentSection,
    KnobsSection,
    PolicySection,
    SafetySection,
)
from turnout.config.places import Places
from turnout.config.section import Name, Section, off_if_false
from turnout.config.service import (
    BudgetSection,
    CacheSection,
    HealthSection,
    RetrySection,
    ServeSection,
    TelemetrySection,
    TimeoutSection,
)
from turnout.config.supply import ModelSection, ProviderSection

BLOCK = "block"


class Config(Section):
    """The whole configuration. ``intents`` maps a label to where it goes.

    ``ledger`` is a path, a ``postgresql://`` URL or ``off``; without it the user's data folder.
    """

    provider: Name | None = None
    providers: dict[str, ProviderSection] = {}
    models: Annotated[dict[str, ModelSection], Field(min_length=1)]
    intents: dict[str, IntentSection] = {}
    default: Name
    embeddings: Name | None = None
    refusal: str = "I can't help with that."
    fallbacks: dict[str, tuple[Name, ...]] = {}
    policy: PolicySection = PolicySection()
    knobs: KnobsSection | None = None
    classifier: ClassifierSection = ClassifierSection()
    safety: SafetySection = SafetySection()
    timeouts: TimeoutSection = TimeoutSection()
    retries: RetrySection = RetrySection()
    health: HealthSection = HealthSection()
    telemetry: TelemetrySection = TelemetrySection()
    serve: ServeSection = ServeSection()
    aliases: dict[str, Name] = {}
    budgets: tuple[BudgetSection, ...] = ()
    cache: CacheSection = CacheSection()
    ledger: Annotated[Name | None, BeforeValidator(off_if_false)] = None
    _places: Places = PrivateAttr(default_factory=Places)

    def model_post_init(self, context: Any) -> None:
        """Stores the places of its settings, from the context of the validation."""
        if isinstance(context, Places):
            self._places = context

    def at(self, *path: str) -> str:
        """``file: line N: a.b:``, for the beginning of an error about a setting."""
        return self._places.at(*self._path_in_file(path))

    def _path_in_file(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """The path; for a model that is only in a pasted map, the path of its entry there."""
        if path[:1] != ("models",) or len(path) == 1 or self._places.has_line(path[:2]):
            return path
        named = (("intents", k) for k, model in self.routes.items() if model == path[1])
        return next(named, ("default",))

    @model_validator(mode="before")
    @classmethod
    def _expand_shorthands(cls, data: Any) -> Any:
        return expand(data) if isinstance(data, dict) else data

    @property
    def routes(self) -> dict[str, str]:
        """The model's name, or ``block``, of every label."""
        return {label: intent.model for label, intent in self.intents.items()}


def expand(data: dict[str, Any]) -> dict[str, Any]:
    """The configuration with its shorthands written out.

    ``MODEL_MAP`` and ``routes`` are other names for ``intents``; without ``models``, and always in
    a ``MODEL_MAP``, an intent may name a model's id directly; a model may be just its id, an intent
    just its model; ``policy``, ``classifier`` and ``fallbacks`` have short forms.
    """
    full = dict(data)
    pasted = "MODEL_MAP" in full
    for other in ("MODEL_MAP", "routes"):
        if other in full and "intents" not in full:
            full["intents"] = full.pop(other)
    if isinstance(full.get("models"), dict):
        full["models"] = {k: _model(v) for k, v in full["models"].items()}
    if isinstance(full.get("intents"), dict):
        full["intents"] = {k: _intent(v) for k, v in full["intents"].items()}
        if pasted or "models" not in full:
            _add_models_of_map(full)
    for section, key in (("policy", "name"), ("classifier", "kind")):
        if isinstance(full.get(section), str):
            full[section] = {key: full[section]}
    fallbacks = full.get("fallbacks")
    if isinstance(fallbacks, list):
        full["fallbacks"] = {name: list(fallbacks) for name in full.get("models", {})}
    return full


def _model(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


def _intent(value: Any) -> Any:
    return {"model": BLOCK if value is None else value} if not isinstance(value, dict) else value


def _add_models_of_map(full: dict[str, Any]) -> None:
    """Give a pasted map the models and the default that it implies."""
    targets = [intent.get("model") for intent in full["intents"].values()]
    ids = [v for v in targets if isinstance(v, str) and v != BLOCK]
    if isinstance(full.get("default"), str):
        ids.append(full["default"])
    stated = full.get("models", {})
    if isinstance(stated, dict):
        full["models"] = {**{model: {"model": model} for model in ids}, **stated}
    if ids and "default" not in full:
        full["default"] = full["intents"].get("simple_qa", {}).get("model", ids[0])

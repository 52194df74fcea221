"""From the configuration to the local classifier, and to the model that is asked for labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from turnout.catalog import Catalog, Deployment
from turnout.classifiers import Band, Calibrated, Classifier, IntentSpec, LocalClassifier
from turnout.classifiers.calibrated import load
from turnout.config import Config, errors_at
from turnout.core import UNSAFE, ConfigError, Prediction
from turnout.core.nearest import MISSPELLED, nearest
from turnout.decision import SafetyRule


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelModel:
    """A model that is asked for a label within ``deadline_s`` seconds.

    ``labels`` maps each label to its meaning. ``band`` says for which prompts it is asked, None
    means for all.
    """

    deployment: Deployment
    labels: dict[str, str]
    deadline_s: float
    band: Band | None = None

    def is_wanted_for(self, local: Prediction, safety: SafetyRule) -> bool:
        """Whether to ask: not if the local verdict blocks, since no label can lift a block."""
        if safety.verdict(local):
            return False
        return self.band is None or self.band.needs_label(local, safety.threshold)


def classifier_of(config: Config, *, calibrated: bool = True) -> Classifier:
    """The local classifier with the configuration's own intents and calibration.

    Raises ConfigError if an intent or the calibration does not fit the classifier.
    """
    section = config.classifier
    with errors_at(config, "classifier", "artefact"):
        local = LocalClassifier.load(Path(section.artefact) if section.artefact else None)
    own = own_intents(config)
    for spec in own:
        if spec.name in local.intents:
            raise ConfigError(
                f"{config.at('intents', spec.name, 'examples')} {spec.name} is built in and "
                "knows its prompts; give your own intent another name, or leave the examples out"
            )
    if own:
        local = local.with_intents(own)
    if section.kind == "local":
        _check_reach(config, local.intents)
    if section.calibration is None or not calibrated:
        return local
    with errors_at(config, "classifier", "calibration"):
        return Calibrated(local, load(Path(section.calibration), local))


def _check_reach(config: Config, known: Sequence[str]) -> None:
    """Raises ConfigError for an intent that looks misspelled, since no prompt would ever match it.

    A name unlike every label is allowed: callers may give it as their ``model``.
    """
    for label in config.intents:
        near = nearest(label, known, MISSPELLED)
        if near and label not in (*known, UNSAFE):
            raise ConfigError(
                f"{config.at('intents', label)} the local classifier knows no such "
                f"label; did you mean {near!r}? or give it 3 to 10 examples, or have a model "
                "label: classifier: {kind: hybrid, model: ...}"
            )


def own_intents(config: Config) -> list[IntentSpec]:
    """The intents that the configuration teaches by examples."""
    return [
        IntentSpec(
            name=name,
            description=intent.description,
            examples=intent.examples,
            threshold=intent.threshold,
        )
        for name, intent in config.intents.items()
        if intent.examples
    ]


def label_model_of(
    config: Config, catalog: Catalog, stand_in: Deployment | None
) -> LabelModel | None:
    """The model that is asked for labels; None where the local verdict stands alone.

    A stand-in is not asked: the embedded model labels no better than chance.
    """
    section = config.classifier
    if section.kind == "local" or section.model is None or stand_in:
        return None
    band = Band(**section.band.model_dump()) if section.kind == "hybrid" else None
    return LabelModel(
        deployment=catalog.first_deployment(section.model),
        labels=labels_of(config),
        deadline_s=section.label_deadline_s,
        band=band,
    )


def labels_of(config: Config) -> dict[str, str]:
    """The configured labels with their descriptions; ``unsafe`` is always one, and the last."""
    own = {k: _meaning(v.description, v.examples) for k, v in config.intents.items()}
    return {**{k: v for k, v in own.items() if k != UNSAFE}, UNSAFE: own.get(UNSAFE, "")}


def _meaning(description: str, examples: tuple[str, ...]) -> str:
    if description or not examples:
        return description
    return "such as: " + "; ".join(" ".join(example.split())[:120] for example in examples[:3])

"""``turnout calibrate FILE``: fits the classifier to a file of the user's own labelled prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from turnout.classifiers import Band, Classifier, LocalClassifier
from turnout.classifiers.calibrated import file_bytes
from turnout.classifiers.calibration import (
    Calibration,
    Labelled,
    Sample,
    cross_fitted_labels,
    fit,
    labels_with,
    qualities,
    safe_needed,
)
from turnout.cli.files import prepare_target, write_whole
from turnout.cli.hybrid_figures import figure_lines, hybrid_figures
from turnout.cli.jsonl import Line, read_lines
from turnout.cli.show import out, print_json, print_table, report_line, with_progress
from turnout.config import Config, load_file
from turnout.core import UNSAFE, ConfigError
from turnout.core.plural import many
from turnout.decision import label_parents
from turnout.evaluation.row_files import open_unpacked
from turnout.runtime.classifier_setup import classifier_of

_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command's options."""

    source: Path
    config: Path | None
    artefact: Path | None
    over_block: float
    save: Path | None
    ask: bool
    ledger: bool
    json: bool


def calibrate_labels(options: Options) -> None:
    """Show precision and recall per intent before and after, and what a hybrid would gain.

    Leaves with exit code 1 when some lines were bad. Raises ConfigError.
    """
    if options.save is not None:
        prepare_target(options.save, [options.source], "calibration")
    config, classifier = _config_and_classifier(options)
    good, bad = _read_labelled(options.source, {*classifier.intents, UNSAFE})
    if not good:
        raise ConfigError(
            f"{options.source}: no line has an intent; give at least a few labelled prompts"
        )
    rows = _predictions(good, classifier)
    configured_threshold = config.safety.threshold if config else None
    intents = frozenset(config.intents if config else classifier.intents)
    sample = Sample(rows, label_parents(intents))
    threshold = classifier.threshold if configured_threshold is None else configured_threshold
    over_block = None if configured_threshold is not None else options.over_block
    calibration = fit(sample, threshold, over_block)
    report = _report(sample, threshold, over_block, calibration)
    report["hybrid"] = hybrid_figures(
        good,
        rows,
        config=config,
        band=Band(**config.classifier.band.model_dump()) if config else Band(),
        threshold=threshold,
        ask=options.ask,
        ledger=options.ledger,
    )
    if options.save is not None:
        write_whole(options.save, file_bytes(calibration, classifier))
    if options.json:
        print_json(report)
    else:
        _show(report, options, configured_threshold=configured_threshold)
    if bad:
        raise typer.Exit(1)


def _config_and_classifier(options: Options) -> tuple[Config | None, Classifier]:
    """The configuration, if any, and the classifier that the options name. Raises ConfigError."""
    if not 0 <= options.over_block < 1:
        raise ConfigError(f"--over-block is {options.over_block:g}; use a share from 0 to 1")
    if options.config is None:
        return None, LocalClassifier.load(options.artefact)
    if options.artefact:
        raise ConfigError("give --config or --artefact: the configuration names its own artefact")
    config = load_file(options.config)
    return config, classifier_of(config, calibrated=False)


def _read_labelled(source: Path, known: set[str]) -> tuple[list[Line], int]:
    good, bad = [], 0
    with open_unpacked(source) as file:
        for line in read_lines(file):
            problem = line.error or _label_problem(line, known)
            if problem is None:
                good.append(line)
            else:
                bad += 1
                report_line(source, line.number, problem)
    return good, bad


def _label_problem(line: Line, known: set[str]) -> str | None:
    intent = line.row.get("intent")
    if not intent:
        return "has no intent"
    if not isinstance(intent, str) or intent not in known:
        return f"intent is {intent!r}; use one of {', '.join(sorted(known))}"
    return None


def _predictions(good: Sequence[Line], classifier: Classifier) -> list[Labelled]:
    starts = range(0, len(good), _BATCH)
    rows: list[Labelled] = []
    for start in with_progress(starts, "classify"):
        batch = good[start : start + _BATCH]
        found = classifier.predict_batch([line.messages for line in batch])
        rows += [(p, str(line.row["intent"])) for p, line in zip(found, batch, strict=True)]
    return rows


def _report(
    sample: Sample, threshold: float, over_block: float | None, calibration: Calibration
) -> dict[str, Any]:
    wanted = [sample.labels[i] for i in sample.wanted]
    before = qualities(labels_with(sample, Calibration(threshold=threshold)), wanted)
    after = {
        q.label: q for q in qualities(cross_fitted_labels(sample, threshold, over_block), wanted)
    }
    return {
        "prompts": len(wanted),
        "labels": [
            {
                "label": q.label,
                "prompts": q.prompts,
                "precision": q.precision,
                "recall": q.recall,
                "precision_after": after[q.label].precision if q.label in after else None,
                "recall_after": after[q.label].recall if q.label in after else None,
            }
            for q in before
        ],
        "threshold": {"before": threshold, "after": calibration.threshold},
        "offsets": dict(calibration.offsets),
    }


def _show(report: dict[str, Any], options: Options, *, configured_threshold: float | None) -> None:
    rows = [
        [
            entry["label"],
            str(entry["prompts"]),
            *(_share(entry[k]) for k in ("precision", "precision_after", "recall", "recall_after")),
        ]
        for entry in report["labels"]
    ]
    columns = ["label", "prompts", "precision", "after", "recall", "after"]
    print_table(f"{options.source}: {many(report['prompts'], 'prompt')}", columns, rows)
    threshold = report["threshold"]
    kept_note = _kept_note(report["labels"], options.over_block, configured_threshold)
    summary = [f"threshold {threshold['before']:.3f} -> {threshold['after']:.3f}{kept_note}"]
    summary += figure_lines(report["hybrid"])
    if options.save is not None:
        usage = f"; put calibration: {options.save} under classifier to use it"
        summary.append(f"saved to {options.save}{usage}")
    for line in summary:
        out.print(line)


def _kept_note(
    labels: Sequence[Mapping[str, Any]], over_block: float, configured_threshold: float | None
) -> str:
    """Why the threshold could not be fitted, if so."""
    if configured_threshold is not None:
        return ", kept: safety.threshold sets it"
    safe = sum(entry["prompts"] for entry in labels if entry["label"] != UNSAFE)
    has_unsafe = any(entry["label"] == UNSAFE and entry["prompts"] for entry in labels)
    if not has_unsafe or not over_block or safe >= (needed := safe_needed(over_block)):
        return ""
    return f", not lowered: {over_block:.1%} of {many(safe, 'safe prompt')} is none; give {needed}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

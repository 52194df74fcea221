"""``turnout calibrate FILE``: fits the classifier to a file of the user's own labelled prompts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import typer

from turnout.classifiers import LocalClassifier, unsure
from turnout.classifiers.calibration import Calibration, Labelled, fit, judged, qualities
from turnout.cli.jsonl import Line, lines, opened
from turnout.cli.options import err, out, print_json, print_table
from turnout.core import ConfigError

BAND = (0.6, 0.3, 1.6)


def calibrate_labels(
    source: Path, *, artefact: Path | None, over_block: float, save: Path | None, json: bool
) -> None:
    """Show precision and recall per intent before and after, and the hybrid's unsure band.

    Leaves with exit code 1 when some lines were bad. Raises ConfigError.
    """
    classifier = LocalClassifier.load(artefact)
    good, bad = _read(source)
    if not good:
        raise ConfigError(f"{source}: no line has an intent; give at least a few labelled prompts")
    predictions = classifier.predict_batch([line.messages for line in good])
    rows: list[Labelled] = [
        (prediction, str(line.row["intent"]))
        for prediction, line in zip(predictions, good, strict=True)
    ]
    calibration = fit(rows, classifier.threshold, over_block)
    report = _report(rows, classifier.threshold, over_block, calibration)
    if save is not None:
        _save(save, calibration)
    if json:
        print_json(report)
    else:
        _show(report, source, save)
    if bad:
        raise typer.Exit(1)


def _read(source: Path) -> tuple[list[Line], int]:
    good, bad = [], 0
    with opened(source) as file:
        for line in lines(file):
            if line.error is None and line.row.get("intent"):
                good.append(line)
            else:
                bad += 1
                why = line.error or "has no intent"
                err.print(f"turnout: {source}: line {line.number}: {why}", markup=False)
    return good, bad


def _report(
    rows: Sequence[Labelled], threshold: float, over_block: float, calibration: Calibration
) -> dict[str, Any]:
    wanted = [label for _, label in rows]
    shipped = Calibration(threshold=threshold)
    before = qualities([shipped.label(prediction) for prediction, _ in rows], wanted)
    after = {q.label: q for q in qualities(judged(rows, threshold, over_block), wanted)}
    band = [unsure(prediction, threshold, BAND) for prediction, _ in rows]
    missed = [
        shipped.label(prediction) != label
        for (prediction, label), inside in zip(rows, band, strict=True)
        if inside
    ]
    return {
        "prompts": len(rows),
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
        "hybrid": {
            "share_asked": sum(band) / len(band),
            "local_wrong_inside": sum(missed) / max(len(missed), 1),
            "most_it_could_gain": sum(missed) / len(band),
        },
    }


def _show(report: dict[str, Any], source: Path, save: Path | None) -> None:
    rows = [
        [
            entry["label"],
            str(entry["prompts"]),
            *(_share(entry[k]) for k in ("precision", "precision_after", "recall", "recall_after")),
        ]
        for entry in report["labels"]
    ]
    columns = ["label", "prompts", "precision", "after", "recall", "after"]
    print_table(f"{source}: {report['prompts']} prompts", columns, rows)
    hybrid, threshold = report["hybrid"], report["threshold"]
    out.print(f"threshold {threshold['before']:.3f} -> {threshold['after']:.3f}", markup=False)
    out.print(
        f"hybrid would ask a model about {hybrid['share_asked']:.1%} of these prompts; the local "
        f"label is wrong for {hybrid['local_wrong_inside']:.1%} of them, so it can gain at most "
        f"{hybrid['most_it_could_gain']:.1%}",
        markup=False,
    )
    if save is not None:
        out.print(f"saved to {save}", markup=False)


def _save(path: Path, calibration: Calibration) -> None:
    value = {"threshold": calibration.threshold, "offsets": dict(calibration.offsets)}
    try:
        path.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

"""``turnout classify``: a verdict for every line of a JSONL file, in its order."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import orjson
import typer
from rich.progress import track

from turnout.classifiers import LocalClassifier
from turnout.cli.jsonl import Line, lines, opened
from turnout.cli.options import ConfigOption, err
from turnout.config import load_file
from turnout.core import UNSAFE, ConfigError, Prediction
from turnout.decision import SafetyRule

BATCH = 64


def classify(
    source: Annotated[Path, typer.Option("--in", help="JSONL of {id, text|messages}; - is stdin.")],
    target: Annotated[Path, typer.Option("--out", help="JSONL of verdicts; - is stdout.")],
    *,
    config: ConfigOption = None,
) -> None:
    """Label every line: {id, intent, intents, unsafe, injection, language}."""
    classifier, rule = _means(config)
    bad = 0
    with opened(source) as file, _written(target) as sink:
        for batch in _batches(_shown(lines(file), source)):
            good = [line for line in batch if line.error is None]
            predictions = iter(classifier.predict_batch([line.messages for line in good]))
            for line in batch:
                if line.error is None:
                    sink.write(orjson.dumps(_verdict(line, next(predictions), rule)) + b"\n")
                else:
                    bad += 1
                    err.print(f"turnout: {source}: line {line.number}: {line.error}", markup=False)
    if bad:
        err.print(f"turnout: {bad} bad lines were left out", markup=False)
        raise typer.Exit(1)


def _means(config: Path | None) -> tuple[LocalClassifier, SafetyRule]:
    loaded = load_file(config) if config else None
    artefact = loaded.classifier.artefact if loaded else None
    classifier = LocalClassifier.load(Path(artefact) if artefact else None)
    threshold = loaded.safety.threshold if loaded else None
    if threshold is None:
        threshold = classifier.threshold
    return classifier, SafetyRule(threshold=threshold, refusal="")


def _verdict(line: Line, prediction: Prediction, rule: SafetyRule) -> dict[str, Any]:
    return {
        "id": line.row.get("id", line.number),
        "intent": UNSAFE if rule.verdict(prediction) else prediction.intent,
        "intents": dict(prediction.intents),
        "unsafe": prediction.unsafe,
        "injection": prediction.injection,
        "language": prediction.language,
    }


def _batches(items: Iterable[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _shown(items: Iterator[Line], source: Path) -> Iterable[Line]:
    if not err.is_terminal:
        return items
    count = None if str(source) == "-" else _count(source)
    return track(items, description="classify", total=count, console=err)


def _count(source: Path) -> int:
    with source.open("rb") as file:
        return sum(1 for raw in file if raw.strip())


@contextmanager
def _written(target: Path) -> Iterator[BinaryIO]:
    if str(target) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        file = target.open("wb")
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written ({error.strerror})") from error
    with file:
        yield file

"""``turnout classify``: a verdict for every line of a JSONL file, in order."""

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Annotated, Any, BinaryIO

import typer

from turnout.classifiers import Classifier, LocalClassifier
from turnout.cli.files import check_different_files, output_file
from turnout.cli.jsonl import Line, json_line, read_lines
from turnout.cli.labelling import Verdict, verdict_reader
from turnout.cli.options import LedgerOption, router
from turnout.cli.show import err, report_line, with_progress
from turnout.config import config_path, load_file
from turnout.core import UNSAFE, Prediction
from turnout.core.plural import many
from turnout.decision import SafetyRule, served_intent
from turnout.evaluation.row_files import open_unpacked
from turnout.runtime.classifier_setup import classifier_of

BATCH = 128

ServedOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="turnout.yaml that serves; by default the shipped labels."),
]


def classify(
    source: Annotated[
        Path, typer.Option("--in", help="JSONL (or .gz) of {id, text|messages}; - is stdin.")
    ],
    target: Annotated[Path, typer.Option("--out", help="JSONL of verdicts; - is stdout.")],
    *,
    config: ServedOption = None,
    ledger: LedgerOption = True,
) -> None:
    """Label every line of a JSONL file: intent, safety, language.

    A verdict is {id, intent, intents, unsafe, injection, language}. Without --config all ten
    labels and the shipped threshold apply, whatever is in this folder. With --config its own
    intents, calibration and threshold apply, and its LLM classifier is asked.
    """
    if config is None and (unused := config_path(None)):
        note = f"{unused} is not used here; to label as it serves, give --config {unused}"
        err.print(f"turnout: note: {note}")
    bad, missing = 0, Counter[str]()
    check_different_files(source, target, "verdicts")
    with (
        output_file(target) as sink,
        open_unpacked(source) as file,
        _verdict_reader(config, ledger=ledger) as (labels, read),
    ):
        counted = with_progress(read_lines(file), "classify", _count(source))
        for batch in _batches(counted, live=_is_live(file)):
            good = [line for line in batch if line.error is None]
            found = read(good)
            missing.update(p.label_failure for _, p in found if p.label_failure)
            verdicts = iter(found)
            for line in batch:
                if line.error is None:
                    sink.write(json_line(_verdict_row(line, next(verdicts), labels)))
                else:
                    bad += 1
                    report_line(source, line.number, line.error)
            sink.flush()
    _report_and_exit(bad, missing)


def _report_and_exit(bad: int, missing: Counter[str]) -> None:
    """Prints how many labels are missing and lines were bad; exits with 1 after bad lines."""
    for reason, count in missing.items():
        err.print(f"turnout: {count} labels are missing: {reason}")
    if bad:
        err.print(f"turnout: left out {many(bad, 'bad line')}")
        raise typer.Exit(1)


@contextmanager
def _verdict_reader(
    config: Path | None, *, ledger: bool
) -> Iterator[tuple[Sequence[str], Callable[[Sequence[Line]], list[Verdict]]]]:
    """The local classifier's labels, and a function that gives lines their verdicts as served."""
    loaded = load_file(config) if config else None
    if loaded is not None and loaded.classifier.kind != "local":
        with router(config, ledger=ledger) as r, verdict_reader(r) as verdicts_of:
            yield r.parts.classifier.intents, verdicts_of
        return
    classifier: Classifier = classifier_of(loaded) if loaded else LocalClassifier.load()
    threshold = loaded.safety.threshold if loaded else None
    rule = SafetyRule(
        threshold=classifier.threshold if threshold is None else threshold, refusal=""
    )
    configured = frozenset(loaded.intents if loaded else classifier.intents) - {UNSAFE}

    def read(batch: Sequence[Line]) -> list[Verdict]:
        found = classifier.predict_batch([line.messages for line in batch])
        return [(_label(p, rule, configured), p) for p in found]

    yield classifier.intents, read


def _label(prediction: Prediction, rule: SafetyRule, configured: frozenset[str]) -> str:
    if rule.verdict(prediction):
        return UNSAFE
    return served_intent(prediction, configured)[0] or "unknown"


def _verdict_row(line: Line, verdict: Verdict, labels: Sequence[str]) -> dict[str, Any]:
    """The line's verdict; for a line without scores the worst case, which blocks.

    Where nothing tells the intent, all labels are equally likely.
    """
    intent, prediction = verdict
    is_missing = prediction.unsafe is None
    return {
        "id": line.row.get("id", line.number),
        "intent": intent,
        "intents": dict(prediction.intents or ((label, 1 / len(labels)) for label in labels)),
        "unsafe": 1.0 if is_missing else prediction.unsafe,
        "injection": 1.0 if is_missing else prediction.injection,
        "language": prediction.language,
    }


def _batches(items: Iterable[Line], *, live: bool) -> Iterator[list[Line]]:
    """The lines in batches; a live source's batches hold the lines that have come so far."""
    if live:
        yield from _live_batches(items)
        return
    remaining = iter(items)
    yield from iter(lambda: list(islice(remaining, BATCH)), [])


def _live_batches(items: Iterable[Line]) -> Iterator[list[Line]]:
    """Batches of the lines that a thread has read so far; ends with the error that it met."""
    queue: Queue[Line | BaseException | None] = Queue(maxsize=4 * BATCH)

    def read() -> None:
        try:
            for item in items:
                queue.put(item)
            queue.put(None)
        except BaseException as error:  # noqa: BLE001  (raised where the lines are used)
            queue.put(error)

    Thread(target=read, name="turnout-lines", daemon=True).start()
    batch: list[Line] = []
    while isinstance(item := queue.get(), Line):
        batch.append(item)
        if len(batch) == BATCH or queue.empty():
            yield batch
            batch = []
    yield batch
    if item is not None:
        raise item


def _is_live(file: BinaryIO) -> bool:
    """Whether the lines come from a pipe or a terminal, which may pause."""
    try:
        return not stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _count(source: Path) -> int | None:
    """The number of lines, to show progress; None if they can be read only once."""
    if str(source) == "-" or not err.is_terminal:
        return None
    with open_unpacked(source) as file:
        return sum(1 for raw in file if raw.strip())

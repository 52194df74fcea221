"""``turnout predict``: P(success) of every model for a file of prompts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from turnout.cli.files import check_apart, written
from turnout.cli.jsonl import line_of
from turnout.cli.show import err, out, tell_line, tracked
from turnout.core.plural import many

if TYPE_CHECKING:
    from turnout.classifiers.success import SuccessPredictor

_BATCH = 256


def predict(
    *,
    prompts: Annotated[
        Path, typer.Option(help="JSONL (or .gz), an object a line; - is standard input.")
    ],
    bundle: Annotated[Path, typer.Option(help="The folder that turnout train success wrote.")],
    target: Annotated[
        Path, typer.Option("--out", help="The JSONL file to write; - is standard output.")
    ],
) -> None:
    """Write {id, success: {model: p}} for each line, in order.

    Only query (else prompt), messages and functions of a line are read. A line that cannot be read
    is predicted as an empty prompt, marked with its error, and makes the exit code 1.
    """
    from turnout.classifiers.success.bundle import open_bundle
    from turnout.evaluation.row_files import numbered_rows

    check_apart(prompts, target, "predictions")
    predictor = open_bundle(bundle).predictor
    lines = (_Line(number, row or {}, problem) for number, row, problem in numbered_rows(prompts))
    batches = iter(lambda: list(islice(lines, _BATCH)), [])
    first = next(batches, [])  # reports an unreadable source before a file is made
    shown = tracked(chain([first], batches), "predicting")
    count, bad, empty = 0, 0, list[int]()
    with written(target) as file:
        for line, text, shape in _predicted(shown, predictor):
            file.write(line_of(shape))
            count += 1
            if line.problem:
                bad += 1
                tell_line(prompts, line.number, line.problem)
            elif not text.strip():
                empty.append(line.number)
    if empty:
        err.print(
            f"turnout: {prompts}: {many(len(empty), 'line')} without query, prompt or messages "
            f"(first: {empty[0]}): predicted as empty prompts",
        )
    said = err if str(target) == "-" else out
    said.print(f"{target}: {many(count, 'prompt')} x {many(len(predictor.models), 'model')}")
    if bad:
        raise typer.Exit(1)


class _Line(NamedTuple):
    number: int
    row: Mapping[str, Any]
    problem: str


def _predicted(
    batches: Iterable[Sequence[_Line]], predictor: "SuccessPredictor"
) -> Iterator[tuple[_Line, str, dict[str, Any]]]:
    """Each line with its prompt's text, and what is written for it."""
    from turnout.features.prompt import row_text

    for part in batches:
        texts = [row_text(line.row) for line in part]
        found = predictor.predict_all(texts).tolist()
        for line, text, values in zip(part, texts, found, strict=True):
            yield line, text.text, _shape(line, predictor.models, values)


def _shape(line: _Line, models: Sequence[str], values: Sequence[float]) -> dict[str, Any]:
    success = {model: round(p, 6) for model, p in zip(models, values, strict=True)}
    shape = {"id": line.row.get("id"), "success": success}
    return {**shape, "error": line.problem} if line.problem else shape

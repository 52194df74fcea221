"""``turnout predict``: P(success) of every model for a file of prompts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from turnout.cli.files import check_different_files, output_file
from turnout.cli.jsonl import json_line
from turnout.cli.show import err, out, report_line, with_progress
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

    Only query (else prompt), messages and functions of a line are read; a line without an id gets
    its number as one. A line that cannot be read is predicted as an empty prompt, marked with its
    error, and makes the exit code 1.
    """
    from turnout.classifiers.success.bundle import open_bundle
    from turnout.evaluation.row_files import numbered_rows

    check_different_files(prompts, target, "predictions")
    predictor = open_bundle(bundle).predictor
    lines = (_Line(number, row or {}, problem) for number, row, problem in numbered_rows(prompts))
    batches = with_progress(iter(lambda: list(islice(lines, _BATCH)), []), "predicting")
    count, bad, empty = 0, 0, list[int]()
    with output_file(target) as file:
        for line, text, output_row in _predictions(batches, predictor):
            file.write(json_line(output_row))
            count += 1
            if line.problem:
                bad += 1
                report_line(prompts, line.number, line.problem)
            elif not text.strip():
                empty.append(line.number)
    if empty:
        err.print(
            f"turnout: {prompts}: {many(len(empty), 'line')} without query, prompt or messages "
            f"(first: {empty[0]}): predicted as empty prompts",
        )
    console = err if str(target) == "-" else out
    console.print(f"{target}: {many(count, 'prompt')} x {many(len(predictor.models), 'model')}")
    if bad:
        raise typer.Exit(1)


class _Line(NamedTuple):
    number: int
    row: Mapping[str, Any]
    problem: str


def _predictions(
    batches: Iterable[Sequence[_Line]], predictor: "SuccessPredictor"
) -> Iterator[tuple[_Line, str, dict[str, Any]]]:
    """Each line with its prompt's text, and what is written for it."""
    from turnout.features.prompt import row_text

    for batch in batches:
        texts = [row_text(line.row) for line in batch]
        found = predictor.predict_all(texts).tolist()
        for line, text, values in zip(batch, texts, found, strict=True):
            yield line, text.text, _prediction_row(line, predictor.models, values)


def _prediction_row(line: _Line, models: Sequence[str], values: Sequence[float]) -> dict[str, Any]:
    success = {model: round(p, 6) for model, p in zip(models, values, strict=True)}
    output_row = {"id": line.row.get("id", line.number), "success": success}
    return {**output_row, "error": line.problem} if line.problem else output_row

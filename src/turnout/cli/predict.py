"""``turnout predict``: P(success) of every model for a file of prompts."""

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.progress import track

from turnout.cli.options import err, out
from turnout.core import ConfigError

_BATCH = 256


def predict(
    *,
    prompts: Annotated[Path, typer.Option(help="JSONL or JSONL.gz, an object a line.")],
    bundle: Annotated[Path, typer.Option(help="The folder that turnout train success wrote.")],
    target: Annotated[Path, typer.Option("--out", help="The JSONL file to write.")],
) -> None:
    """Write {id, success: {model: p}} for each line, in order.

    Only query (else prompt), messages and functions of a line are read.
    """
    from turnout.classifiers.success.bundle import open_bundle
    from turnout.evaluation.table_files import read_jsonl
    from turnout.features.prompt import request_text

    predictor = open_bundle(bundle).predictor
    rows = read_jsonl(prompts)
    empty = [n for n, row in enumerate(rows, 1) if not request_text(row).text.strip()]
    if empty:
        err.print(
            f"turnout: {prompts}: {len(empty)} lines without query, prompt or messages (first: "
            f"{empty[0]}): predicted from the models' means",
            markup=False,
        )
    starts = range(0, len(rows), _BATCH)
    try:
        with target.open("wb") as file:
            for start in track(starts, "predicting", console=err, disable=not err.is_terminal):
                part = rows[start : start + _BATCH]
                found = predictor.predict_all([request_text(row) for row in part])
                for row, values in zip(part, found.tolist(), strict=True):
                    success = {
                        m: round(p, 6) for m, p in zip(predictor.models, values, strict=True)
                    }
                    file.write(orjson.dumps({"id": row.get("id"), "success": success}) + b"\n")
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written: {error.strerror}") from error
    out.print(f"{target}: {len(rows):,} prompts x {len(predictor.models)} models", markup=False)

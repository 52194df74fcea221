"""``turnout ledger outcomes``: feedback in the ledger as a table to train and evaluate on."""

from pathlib import Path
from typing import Annotated

import typer

from turnout.cli.files import check_different_files, write_whole
from turnout.cli.jsonl import json_line
from turnout.cli.options import ConfigOption, PlaceOption, open_store
from turnout.cli.show import err, out
from turnout.core import ConfigError
from turnout.core.plural import many
from turnout.ledger import Store


def outcomes(
    target: Annotated[Path, typer.Argument(help="The JSONL table to write.")],
    *,
    prompts: Annotated[
        Path,
        typer.Option(
            help="JSONL of your requests: {id, prompt|query|messages, functions}; the id "
            "is the decision's, the request's or your own x-request-id."
        ),
    ],
    metric: Annotated[
        str | None, typer.Option(help="Which feedback; 'verified' is what became of drafts.")
    ] = None,
    scale: Annotated[
        str, typer.Option(help="LOW:HIGH of the metric, which become 0 and 1.")
    ] = "0:1",
    ledger: PlaceOption = None,
    config: ConfigOption = None,
) -> None:
    """Join feedback with its prompts into an outcome table.

    Such a table is what train success, eval and calibrate take.
    """
    from turnout.evaluation.ledger_table import ledger_rows
    from turnout.evaluation.row_files import read_jsonl

    check_different_files(prompts, target, "table")
    ledger_store = open_store(ledger, config)
    bounds = _scale(scale)
    rows = read_jsonl(prompts)
    found = ledger_rows(ledger_store, rows, metric=_metric(ledger_store, metric), scale=bounds)
    if not found.rows:
        raise ConfigError(
            f"{ledger_store.where}: none of {found.outcomes} outcomes has its prompt in {prompts}; "
            "give each line the id of its decision, its request, or its x-request-id"
        )
    write_whole(target, b"".join(map(json_line, found.rows)))
    if found.without_prompt:
        err.print(
            f"turnout: {found.without_prompt} of {found.outcomes} outcomes have no prompt in "
            f"{prompts} and are left out",
        )
    models = len({row["model"] for row in found.rows})
    out.print(f"{target}: {many(len(found.rows), 'outcome')} of {many(models, 'model')}")


def _metric(ledger_store: Store, asked: str | None) -> str:
    from turnout.evaluation.ledger_table import metrics_in

    known = dict(metrics_in(ledger_store))
    if asked is None and len(known) == 1:
        return next(iter(known))
    if asked in known and asked is not None:
        return asked
    if not known:
        raise ConfigError(
            f"{ledger_store.where}: no feedback yet; send it to POST /v1/feedback, or call "
            "router.feedback(decision_id, metric, value)"
        )
    listed = ", ".join(f"{name} ({count})" for name, count in known.items())
    raise ConfigError(f"--metric: name one of {listed}")


def _scale(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        low = high = 0.0
    if not low < high:
        raise ConfigError(f"--scale {text!r}: give LOW:HIGH, as in 0:1 or 1:5")
    return low, high

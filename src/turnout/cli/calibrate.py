"""``turnout calibrate``: fits a classifier to the user's labels, or a bundle to their outcomes."""

from pathlib import Path
from typing import Annotated

import typer

from turnout.cli.calibrate_labels import Options, calibrate_labels
from turnout.cli.calibrate_quality import calibrate_quality
from turnout.cli.options import JsonOption, LedgerOption, refuse_given
from turnout.core import ConfigError


def calibrate(
    context: typer.Context,
    source: Annotated[
        Path | None, typer.Argument(help="JSONL of {text|messages, intent}: labels of your own.")
    ] = None,
    *,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="turnout.yaml with your intents and hybrid."),
    ] = None,
    artefact: Annotated[Path | None, typer.Option(help="By default the shipped one.")] = None,
    over_block: Annotated[
        float, typer.Option(help="Share of safe prompts that may be blocked.")
    ] = 0.01,
    save: Annotated[Path | None, typer.Option(help="Writes the calibration as JSON.")] = None,
    ask: Annotated[
        bool, typer.Option("--ask/--no-ask", help="Ask the hybrid's model about unsure prompts.")
    ] = True,
    table: Annotated[Path | None, typer.Option(help="An outcome table, instead of SOURCE.")] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="The folder that turnout train success wrote.")
    ] = None,
    quality: Annotated[
        float, typer.Option(help="Share of the best single model's quality.")
    ] = 0.95,
    lost: Annotated[
        float | None, typer.Option(help="Instead: share of requests that may lose quality.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Confidence of the promise.")] = 0.95,
    steady: Annotated[
        float, typer.Option(help="The policy's margin, with which the promise holds.")
    ] = 0.0,
    ledger: LedgerOption = True,
    json: JsonOption = False,
) -> None:
    """Calibrate labels, or a promise of quality, on your own data.

    Give SOURCE to calibrate labels, --table and --bundle to calibrate a promise.
    """
    if source is not None and table is None:
        refuse_given(
            context, "bundle", "quality", "lost", "confidence", "steady",
            because="only for a promise, with --table in place of SOURCE; leave it out",
        )  # fmt: skip
        calibrate_labels(
            Options(
                source=source,
                config=config,
                artefact=artefact,
                over_block=over_block,
                save=save,
                ask=ask,
                ledger=ledger,
                json=json,
            )
        )
    elif source is None and table is not None and bundle is not None:
        refuse_given(
            context, "config", "artefact", "over_block", "save", "ask", "ledger",
            because="only for labels, with SOURCE in place of --table; leave it out",
        )  # fmt: skip
        if lost is not None:
            refuse_given(
                context, "quality", because="--lost is promised in its place; leave one out"
            )
        calibrate_quality(
            table,
            bundle,
            quality=quality,
            lost=lost,
            confidence=confidence,
            steady=steady,
            json=json,
        )
    else:
        raise ConfigError("give a JSONL file of labels, or --table with --bundle")

"""``turnout calibrate`` and ``turnout probe``: fit a bundle to one's own table, and add a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import orjson
import typer

from turnout.cli.options import JsonOption, out, print_json
from turnout.core import ConfigError

if TYPE_CHECKING:
    from turnout.classifiers.success import Bundle
    from turnout.evaluation.outcome_table import OutcomeTable

_SEEN = 0.05

BundleOption = Annotated[Path, typer.Option(help="The folder that turnout train success wrote.")]


def calibrate(
    *,
    table: Annotated[Path, typer.Option(help="An outcome table of one's own.")],
    bundle: BundleOption,
    quality: Annotated[float, typer.Option(help="Share of the best single's quality.")] = 0.95,
    lost: Annotated[
        float | None, typer.Option(help="Instead: the most requests that may lose quality.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Of the promise.")] = 0.95,
    json: JsonOption = False,
) -> None:
    """Find the threshold that keeps a promised quality on your own outcomes, and store it."""
    from dataclasses import asdict

    from turnout.classifiers.success.bundle import POLICY, open_bundle, seal, write_json
    from turnout.evaluation.table_files import read_table
    from turnout.training.bundle import catalogue
    from turnout.training.calibrate import calibrate as fit

    outcomes, opened = read_table(table), open_bundle(bundle)
    known = {**catalogue([outcomes]), **opened.catalogue}
    costs = {m: r["mean_cost_usd"] for m, r in known.items() if "mean_cost_usd" in r}
    if not any(model in costs for model in outcomes.models):
        raise ConfigError(
            f"table {outcomes.name} and {bundle} have no prices or costs: nothing can be "
            "saved; add cost_usd, or tokens and price_per_mtok"
        )
    found = fit(
        outcomes,
        _out_of_sample(outcomes, opened),
        costs,
        quality=quality,
        lost=lost,
        confidence=confidence,
    )
    if found.promised:
        policy = {
            "name": "cheapest_above_quality",
            "quality": quality,
            "calibration": asdict(found),
        }
        write_json(bundle / POLICY, {**policy, "threshold": found.threshold})
        digest = seal(bundle)
    if json:
        print_json(asdict(found))
    elif found.promised:
        out.print(
            f"threshold {found.threshold:g}: {found.quality:.1%} of the best single model's "
            f"quality (at least {found.low:.1%} with {confidence:.0%} confidence), "
            f"{found.lost:.1%} of requests lose (at most {found.lost_high:.1%}), "
            f"{found.saving:.1%} saved; {digest[:19]}",
            markup=False,
            highlight=False,
        )
    else:
        target = f"{quality:.0%} quality" if lost is None else f"at most {lost:.0%} lost"
        out.print(
            f"{found.rows} rows are too few to promise {target} with {confidence:.0%} confidence "
            f"(best: quality at least {found.low:.1%}, lost at most {found.lost_high:.1%}); "
            "nothing changed: add rows, or ask for less",
            markup=False,
            highlight=False,
        )
    if not found.promised:
        raise typer.Exit(1)


def probe(
    model: Annotated[str, typer.Argument(help="The model's name.")],
    *,
    bundle: BundleOption,
    prompts: Annotated[
        Path | None, typer.Option(help="JSONL of prompts to pick probes from.")
    ] = None,
    count: Annotated[int, typer.Option(min=10, max=1000, help="How many probes.")] = 100,
    outcomes: Annotated[
        Path | None, typer.Option(help="JSONL of {prompt, score}: the probes' results.")
    ] = None,
    prior: Annotated[
        float | None, typer.Option(min=0, max=1, help="Mean quality, where there are no results.")
    ] = None,
    mean_cost_usd: Annotated[
        float | None, typer.Option("--cost", min=0, help="Mean USD a call, where known.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--out", help="Where the probes are written.")
    ] = None,
) -> None:
    """Pick the most informative prompts for a new model, then add it by results or a prior."""
    from turnout.classifiers.success import open_bundle

    opened = open_bundle(bundle)
    if model in opened.predictor.models:
        raise ConfigError(f"{bundle} knows {model!r} already; train again to renew it")
    if outcomes is not None or prior is not None:
        _add(opened, model, outcomes, prior, mean_cost_usd)
    elif prompts is not None and target is not None:
        _pick(opened, model, prompts, count, target)
    else:
        raise ConfigError(
            "give --prompts and --out to pick probes, --outcomes to add the model by their "
            "results, or --prior to add it by a guess"
        )


def _pick(bundle: "Bundle", model: str, prompts: Path, count: int, target: Path) -> None:
    from turnout.evaluation.table_files import read_jsonl
    from turnout.features.prompt import request_text
    from turnout.training.probe import informative

    rows = read_jsonl(prompts)
    if not rows:
        raise ConfigError(f"{prompts}: no prompts to pick from")
    chosen = informative(bundle.predictor.predict_all([request_text(r) for r in rows]), count)
    lines = [orjson.dumps({**rows[i], "model": model, "score": None}) for i in sorted(chosen)]
    try:
        target.write_bytes(b"\n".join(lines) + b"\n")
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written: {error.strerror}") from error
    out.print(
        f"{target}: {len(lines)} probes; fill in score and pass it as --outcomes", markup=False
    )


def _add(
    bundle: "Bundle", model: str, outcomes: Path | None, prior: float | None, cost: float | None
) -> None:
    from dataclasses import replace

    from turnout.classifiers.success import by_prior, save, seal
    from turnout.classifiers.success.bundle import CATALOGUE, write_json

    known = {m: float(r["quality"]) for m, r in bundle.catalogue.items() if "quality" in r}
    if outcomes is not None:
        newcomer = _from_outcomes(bundle, model, outcomes)
    else:
        newcomer = by_prior(model, float(prior or 0.0), known)
    predictor = replace(
        bundle.predictor, newcomers=(*bundle.predictor.newcomers, newcomer)
    )  # fmt: skip
    record: dict[str, Any] = {"quality": newcomer.prior}
    if cost is not None:
        record["mean_cost_usd"] = cost
    save(predictor, bundle.folder)
    write_json(bundle.folder / CATALOGUE, {**bundle.catalogue, model: record})
    digest = seal(bundle.folder)
    out.print(f"{model}: added with mean quality {newcomer.prior:.3f}; {digest[:19]}", markup=False)


def _from_outcomes(bundle: "Bundle", model: str, path: Path) -> Any:
    from turnout.classifiers.success import by_probes
    from turnout.evaluation.table_files import read_jsonl
    from turnout.features.prompt import request_text

    rows = read_jsonl(path)
    for number, row in enumerate(rows, 1):
        score = row.get("score")
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise ConfigError(f"{path}, line {number}: score is {score!r}; use a number in 0..1")
    if len(rows) < 10:
        raise ConfigError(f"{path}: {len(rows)} results; give at least 10, better 50 to 200")
    predictor = bundle.predictor
    trained = tuple(dict.fromkeys(m for expert in predictor.experts for m in expert.models))
    success = predictor.predict_all([request_text(row) for row in rows])[:, : len(trained)]
    scores = np.array([row["score"] for row in rows], np.float32)
    return by_probes(model, success, scores, trained)


def _out_of_sample(table: "OutcomeTable", bundle: "Bundle") -> Any:
    """Predictions for the table by predictors that did not see its prompts."""
    from turnout.features.prompt import request_text
    from turnout.training.crossfit import grouped_folds

    prompts = [request_text(row) for row in table.prompts]
    predictor = bundle.predictor
    unknown = [model for model in table.models if model not in predictor.models]
    if unknown:
        raise ConfigError(
            f"the bundle does not know {unknown[0]!r} of table {table.name}; train on it, or add "
            f"it: turnout probe {unknown[0]}"
        )
    if predictor.seen(prompts) > _SEEN:
        return grouped_folds([table])[0]
    columns = [predictor.models.index(model) for model in table.models]
    return predictor.predict_all(prompts)[:, columns].astype(np.float64)
